package git

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
)

// baseEnv is the whole environment of a git process, made from nothing. Each
// variable closes a door that the shadow leaves open in some version of git.
func baseEnv(p place) []string {
	env := []string{
		"LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_SYSTEM=" + os.DevNull,
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true",
		"SSH_ASKPASS=true",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1",
		// No protocol has this name, so no transport is allowed.
		"GIT_ALLOW_PROTOCOL=none",
		"GIT_PAGER=cat",
		"GIT_EDITOR=true",
		"GIT_OBJECT_DIRECTORY=" + p.objects,
	}
	if p.alternates != "" {
		env = append(env, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+p.alternates)
	}
	for _, name := range []string{"PATH", "TZ", "TMPDIR", "SYSTEMROOT"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// command makes a git process in a shadow. It is killed when ctx ends.
func (r *Repo) command(ctx context.Context, s shadow, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.git, append([]string{"--no-pager", "--no-replace-objects", "--literal-pathspecs"}, args...)...)
	cmd.Dir = s.dir
	// HOME holds no .gitconfig and no attributes: git before 2.32 does not
	// know GIT_CONFIG_GLOBAL.
	cmd.Env = append(r.env[:len(r.env):len(r.env)], "GIT_DIR="+s.dir, "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// output runs git to its end and gives what it printed, up to limit bytes.
func (r *Repo) output(ctx context.Context, s shadow, limit int64, args ...string) ([]byte, error) {
	p, err := r.start(ctx, s, nil, args...)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(p.out, limit+1))
	if err == nil && int64(len(out)) > limit {
		p.kill()
		return nil, fmt.Errorf("%w: git %s printed more than %d bytes", stemma.ErrInvalid, args[0], limit)
	}
	if werr := p.wait(); werr != nil {
		return nil, werr
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %w", args[0], stemma.ErrUnavailable, err)
	}
	return out, nil
}

// process is a git process that is being read from. Whoever starts it calls
// wait or kill.
type process struct {
	ctx    context.Context // of the caller, to tell its end from git's
	cmd    *exec.Cmd
	name   string
	in     io.WriteCloser // nil where stdin was given
	out    *bufio.Reader
	stderr tail
	once   sync.Once
	ended  error
}

// start runs git with stdin from a reader; a nil reader is an empty one.
func (r *Repo) start(ctx context.Context, s shadow, stdin io.Reader, args ...string) (*process, error) {
	return r.launch(ctx, s, args, func(p *process) error {
		p.cmd.Stdin = stdin
		if args[0] == "for-each-ref" {
			p.stderr.most = 4 << 20 // its warnings are results
		}
		return nil
	})
}

// converse runs git with a pipe to its stdin in process.in.
func (r *Repo) converse(ctx context.Context, s shadow, args ...string) (*process, error) {
	return r.launch(ctx, s, args, func(p *process) (err error) {
		p.in, err = p.cmd.StdinPipe()
		return err
	})
}

func (r *Repo) launch(ctx context.Context, s shadow, args []string, stdin func(*process) error) (*process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &process{ctx: ctx, cmd: r.command(ctx, s, args...), name: args[0]}
	p.cmd.Stderr = &p.stderr
	if err := stdin(p); err != nil {
		return nil, fmt.Errorf("git %s: %w: %w", p.name, stemma.ErrUnavailable, err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w: %w", p.name, stemma.ErrUnavailable, err)
	}
	p.out = bufio.NewReaderSize(out, 128<<10)
	if err := p.cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("git %s: %w: %w", p.name, stemma.ErrUnavailable, err)
	}
	return p, nil
}

// wait closes stdin and waits for the end; stdout must have been read to its
// end. It gives the same error each time.
func (p *process) wait() error {
	p.once.Do(func() {
		if p.in != nil {
			_ = p.in.Close() // a process that is gone has closed it already
		}
		err := p.cmd.Wait()
		switch {
		case err == nil:
		case p.ctx.Err() != nil:
			p.ended = p.ctx.Err()
		default:
			p.ended = &CommandError{Command: p.name, Message: p.stderr.text(), cause: err}
		}
	})
	return p.ended
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself; a wait under way ends too
	p.once.Do(func() {
		if p.in != nil {
			_ = p.in.Close()
		}
		_ = p.cmd.Wait()
		p.ended = errKilled
	})
}

var errKilled = fmt.Errorf("%w: git process was ended", stemma.ErrUnavailable)

// broken explains why reading from the process went wrong: by its end if it
// ended, else by what was read.
func (p *process) broken(read error) error {
	if errors.Is(read, io.EOF) || errors.Is(read, io.ErrUnexpectedEOF) || errors.Is(read, os.ErrClosed) {
		if err := p.wait(); err != nil {
			return err
		}
		return fmt.Errorf("git %s: %w: output ended early", p.name, stemma.ErrUnavailable)
	}
	p.kill()
	if err := p.ctx.Err(); err != nil {
		return err
	}
	return read
}

// CommandError is a git process that failed. It is of kind stemma.ErrNotFound
// where git missed an object or a path, stemma.ErrInvalid where it found damage
// or refused its input, and stemma.ErrUnavailable otherwise.
type CommandError struct {
	Command string // "cat-file"
	Message string // what git said, cut and with control characters escaped
	cause   error
}

func (e *CommandError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("git %s: %v", e.Command, e.cause)
	}
	return fmt.Sprintf("git %s: %s", e.Command, e.Message)
}

var (
	saysDamage  = regexp.MustCompile(`corrupt|inflate|garbage|hash mismatch|bad tree|malformed|too-short|bogus|has only \d+ lines?|ambiguous|not a tree|invalid|empty range|No such |[Nn]o match|usage: `)
	saysMissing = regexp.MustCompile(`unable to read|bad object|missing|not a valid object|could not read|could not parse|cannot read|unable to find|could not get|no such path|unable to parse|Not a valid|unknown revision|bad revision|Needed a single revision|Failed to traverse|Invalid revision`)
)

// Unwrap gives the kind.
func (e *CommandError) Unwrap() error {
	switch {
	case saysDamage.MatchString(e.Message):
		return stemma.ErrInvalid
	case saysMissing.MatchString(e.Message):
		return stemma.ErrNotFound
	default:
		return stemma.ErrUnavailable
	}
}

// reason is the message without git's own words before it.
func (e *CommandError) reason() string {
	text := e.Message
	if i := strings.LastIndex(text, "fatal: "); i >= 0 {
		text = text[i+len("fatal: "):]
	}
	if text == "" {
		return e.Error()
	}
	return text
}

// tail keeps the end of what a process complains.
type tail struct {
	mu   sync.Mutex
	data []byte
	cut  bool
	most int // bytes kept; 0 is tailSize
}

const tailSize = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := cmp.Or(t.most, tailSize)
	t.data = append(t.data, b[max(0, len(b)-most):]...)
	if over := len(t.data) - most; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
		t.cut = true
	}
	return len(b), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := printable(string(bytes.TrimSpace(t.data)))
	if t.cut {
		return "..." + text
	}
	return text
}

// printable escapes what could play tricks on a terminal; lines are joined.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == '\n':
			b.WriteString("; ")
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !strconv.IsPrint(c):
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		default:
			b.WriteRune(c)
		}
		i += n
	}
	return b.String()
}

// clip makes foreign text fit for an error.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}

// readLine reads up to the next line end, which it leaves out, and refuses a
// line over the limit. It gives io.EOF only where nothing was left.
func readLine(r *bufio.Reader, limit int, buf []byte) ([]byte, error) {
	return readTo(r, '\n', limit, buf)
}

// readTo is readLine for another delimiter. The bytes are valid until the next
// read; buf is used when they do not fit into the reader.
func readTo(r *bufio.Reader, delim byte, limit int, buf []byte) ([]byte, error) {
	part, err := r.ReadSlice(delim)
	if err == nil && len(part)-1 <= limit {
		return part[:len(part)-1], nil
	}
	buf = append(buf[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) && len(buf) <= limit {
		part, err = r.ReadSlice(delim)
		buf = append(buf, part...)
	}
	switch {
	case err == nil && len(buf)-1 <= limit:
		return buf[:len(buf)-1], nil
	case err == nil || errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: git printed a line over %d bytes", stemma.ErrInvalid, limit)
	case errors.Is(err, io.EOF) && len(buf) > 0:
		return nil, io.ErrUnexpectedEOF
	default:
		return nil, err
	}
}

// oldestGit is the first version whose options and output this package knows.
const oldestGit = "2.30"

// checkVersion asks git for its version once for each binary and remembers the
// answer in scratch.
func checkVersion(ctx context.Context, binary, scratch string) error {
	stat, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("%w: %w", stemma.ErrUnavailable, err)
	}
	key := fmt.Sprintf("%s %d %d\n", strconv.Quote(binary), stat.Size(), stat.ModTime().UnixNano())
	file := filepath.Join(scratch, "git", "version")
	if got, err := readSmall(file, 64<<10); err == nil && string(got) == key {
		return nil
	}
	cmd := exec.CommandContext(ctx, binary, "--version")
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %s --version: %w; install git %s or newer", stemma.ErrUnavailable, binary, err, oldestGit)
	}
	if err := judgeVersion(binary, string(out)); err != nil {
		return err
	}
	// Not remembering costs a process at the next start, no more.
	_ = putFile(file, key)
	return nil
}

var versionText = regexp.MustCompile(`^git version (\d{1,4})\.(\d{1,4})`)

func judgeVersion(binary, said string) error {
	m := versionText.FindStringSubmatch(said)
	if m == nil {
		return fmt.Errorf("%w: %s does not say which git it is (%q); install git %s or newer", stemma.ErrUnavailable, binary, clip(printable(said)), oldestGit)
	}
	major, _ := strconv.Atoi(m[1]) // the pattern admits digits only
	minor, _ := strconv.Atoi(m[2])
	if major < 2 || major == 2 && minor < 30 {
		return fmt.Errorf("%w: %s is git %s.%s; install git %s or newer", stemma.ErrUnavailable, binary, m[1], m[2], oldestGit)
	}
	return nil
}
