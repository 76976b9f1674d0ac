package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// catalogued is a session as search looks at it.
type catalogued struct {
	row     sessionRow
	words   string // of its metadata, in lower case
	content string // reference of its prompts in the vault; "" where none were kept
}

// wordsFile is where the words of metadata are remembered, beside rowsFile: like
// that it can be made again at any time, and holds nothing that statements do not.
const wordsFile = "sessions-words.json"

// rememberedWords is the file: the words as they were at an index of the log.
type rememberedWords struct {
	Next  uint64                    `json:"next"`
	Words map[string]rememberedWord `json:"words"` // by session
}

type rememberedWord struct {
	Words   string `json:"words"`
	Content string `json:"content"`
}

// catalogue gives all sessions of the repository, newest first: as they are
// remembered, with those of which something was recorded since made anew; and the
// rows that they are of.
func (b *bench) catalogue(ctx context.Context) ([]catalogued, rememberedRows, error) {
	known, err := b.rowsKnown(ctx)
	if err != nil || len(known.Rows) == 0 {
		return nil, known, err
	}
	next, err := b.spine.evidence.Next(ctx)
	if err != nil {
		return nil, known, err
	}
	path := filepath.Join(b.dir, wordsFile)
	words, ok := readWords(path)
	if !ok || words.Next > next { // of other evidence
		words = rememberedWords{Words: make(map[string]rememberedWord)}
	}
	if words.Next < next {
		changed := false
		_, err := b.toldSince(ctx, words.Next, func(told []agent.Tale) error {
			for _, t := range told {
				words.Words[t.Key], changed = rememberedWord{metadata(t, rowOf(t)), contentOf(t)}, true
			}
			return nil
		})
		if err != nil {
			return nil, known, err
		}
		words.Next = next
		if text, err := json.Marshal(words); err == nil && (changed || !ok) {
			// Where it can not be written the next search takes longer.
			_ = writeWhole(path, text)
		}
	}
	list := make([]catalogued, 0, len(known.Rows))
	for _, r := range known.Rows {
		w := words.Words[r.Session]
		list = append(list, catalogued{r, w.Words, w.Content})
	}
	return list, known, nil
}

// readWords reads the file, and gives false where there is none that can be read.
func readWords(path string) (rememberedWords, bool) {
	kept := rememberedWords{Words: make(map[string]rememberedWord)}
	text, err := os.ReadFile(path)
	if err != nil {
		return kept, false
	}
	v, err := agent.ParseValue(text, 0)
	if err != nil {
		return kept, false
	}
	v.Each(func(name []byte, v agent.Value) {
		switch string(name) {
		case "next":
			kept.Next = uint64(v.Int())
		case "words":
			v.Each(func(session []byte, v agent.Value) {
				kept.Words[string(session)] = rememberedWord{v.Get("words").Text(), v.Get("content").Text()}
			})
		}
	})
	return kept, kept.Next > 0
}

// What stands in the way of a session's prompts.
const (
	promptsReadable = iota
	promptsGone     // not kept, or erased
	promptsOthers   // of other people
)

// promptIndex is the index of what was said in the sessions of a repository that are
// the user's own. It lies in the vault as extracts of up to extractSessions
// sessions each, so that an erasure takes the extracts it concerns and leaves the
// others.
type promptIndex struct {
	b       *bench
	person  string
	state   map[string]int    // of each session
	content map[string]string // of each session that may be read: what it was made from
	unread  int               // sessions that are in no extract, as far as is known
	ids     []string

	mu sync.Mutex
}

const (
	extractSessions = 256
	extractBytes    = 16 << 20
	// manyUnread is how many sessions take long enough to be told of.
	manyUnread = 1000
)

func (p *promptIndex) group() string { return "prompts of " + p.b.clone.Repository }

// promptIndex opens the index. It is ErrNotFound where nothing is kept on this
// machine.
func (b *bench) promptIndex(ctx context.Context, all []catalogued) (*promptIndex, error) {
	if err := b.openVault(ctx); err != nil {
		return nil, err
	}
	p := &promptIndex{b: b, state: make(map[string]int), content: make(map[string]string)}
	var err error
	if p.person, err = b.vault.Person(ctx, localUser); err != nil && !errors.Is(err, stemma.ErrNotFound) {
		return nil, err
	}
	readable, err := b.vault.Readable(ctx, p.person)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		switch own, kept := readableAll(readable, c.content); {
		case !kept:
			p.state[c.row.Session] = promptsGone
		case !own:
			p.state[c.row.Session] = promptsOthers
		default:
			p.content[c.row.Session] = c.content
		}
	}
	if p.person == "" {
		return p, nil
	}
	if p.ids, err = b.vault.Extracts(ctx, p.person, p.group()); err != nil {
		return nil, err
	}
	p.unread = len(p.content) - len(p.ids)*extractSessions
	return p, nil
}

// readableAll is whether all parts of a session's content are a person's own, and
// whether they are all kept.
func readableAll(readable map[string]bool, uris string) (own, kept bool) {
	own, kept = true, uris != ""
	for uri := range strings.FieldsSeq(uris) {
		mine, there := readable[uri]
		own, kept = own && mine, kept && there
	}
	return own, kept
}

// extracted is an extract, and what is good of it.
type extracted struct {
	id      string
	scripts []agent.Script // as they are now; nil where it is large
	live    int
	stale   int
}

// each visits the scripts of all sessions that may be read, each once, from
// several goroutines: visitor makes what one of them calls. What is in no extract
// is read from the vault, and is in one from then on.
func (p *promptIndex) each(ctx context.Context, visitor func() func(agent.Script)) error {
	seen := make(map[string]bool)
	var extracts []extracted
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, id := range p.ids {
		g.Go(func() error {
			visit := visitor()
			e, err := p.b.vault.Extract(gctx, p.person, p.group(), id)
			var scripts []agent.Script
			if err == nil {
				scripts, err = agent.Scripts(string(e.Bytes))
			}
			if err != nil && !errors.Is(err, stemma.ErrNotFound) && !errors.Is(err, stemma.ErrInvalid) {
				return err
			}
			// One that is damaged, or was erased meanwhile, holds nothing.
			x := extracted{id: id}
			size := 0
			for _, s := range scripts {
				p.mu.Lock()
				good := p.content[s.Session] == s.Of && !seen[s.Session]
				seen[s.Session] = seen[s.Session] || good
				p.mu.Unlock()
				if !good {
					x.stale++
					continue
				}
				visit(s)
				x.scripts = append(x.scripts, s)
				size += len(s.Text)
			}
			if x.live = len(x.scripts); x.live > extractSessions/2 || size > extractBytes/2 {
				x.scripts = nil // it stays as it is
			}
			p.mu.Lock()
			extracts = append(extracts, x)
			p.mu.Unlock()
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var missing []string
	for session := range p.content {
		if !seen[session] {
			missing = append(missing, session)
		}
	}
	slices.Sort(missing)
	return p.update(ctx, missing, extracts, visitor())
}

// update reads what is in no extract, and keeps it together with the extracts
// that have become small.
func (p *promptIndex) update(ctx context.Context, missing []string, extracts []extracted, visit func(agent.Script)) error {
	var scripts []agent.Script
	var small []string
	for _, x := range extracts {
		switch {
		case x.live == 0:
			p.drop(ctx, x.id)
		case x.scripts != nil && (len(missing) > 0 || x.stale > 0):
			scripts, small = append(scripts, x.scripts...), append(small, x.id)
		}
	}
	if len(missing) == 0 && len(small) < 2 {
		return nil
	}
	size := 0
	flush := func() {
		p.put(ctx, scripts)
		scripts, size = nil, 0
	}
	for chunk := range slices.Chunk(missing, 64) {
		more, err := p.read(ctx, chunk)
		if err != nil {
			return err
		}
		for _, s := range more {
			visit(s)
			if len(scripts) >= extractSessions || size > extractBytes {
				flush()
			}
			scripts, size = append(scripts, s), size+len(s.Text)
		}
	}
	flush()
	for _, id := range small {
		p.drop(ctx, id)
	}
	return nil
}

// read makes scripts from the content of sessions.
func (p *promptIndex) read(ctx context.Context, sessions []string) ([]agent.Script, error) {
	all := make([]agent.Script, len(sessions))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, session := range sessions {
		g.Go(func() error {
			uri := p.content[session]
			s, err := openSession(ctx, p.b.vault, p.person, uri)
			switch {
			case errors.Is(err, stemma.ErrNotFound):
				return nil // erased meanwhile
			case errors.Is(err, stemma.ErrInvalid):
				p.mu.Lock()
				p.b.say(err.Error())
				p.mu.Unlock()
				return nil
			case err != nil:
				return err
			}
			all[i] = agent.ScriptOf(&s, uri)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s agent.Script) bool { return s.Of == "" }), nil
}

// put keeps scripts as one extract. Where that fails, the next search reads what
// is missing again.
func (p *promptIndex) put(ctx context.Context, scripts []agent.Script) {
	if len(scripts) == 0 {
		return
	}
	var data []byte
	var from []string
	for _, s := range scripts {
		data, from = agent.AppendScript(data, s), append(from, strings.Fields(s.Of)...)
	}
	if _, err := p.b.vault.PutExtract(ctx, p.person, p.group(), from, data); err != nil && !errors.Is(err, stemma.ErrNotFound) {
		p.b.say(fmt.Sprintf("the index of prompts: %v", err))
	}
}

func (p *promptIndex) drop(ctx context.Context, id string) {
	if err := p.b.vault.DropExtract(ctx, p.person, p.group(), id); err != nil {
		p.b.say(fmt.Sprintf("the index of prompts: %v", err))
	}
}
