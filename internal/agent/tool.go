package agent

import (
	"slices"
	"strings"

	"github.com/stemma-dev/stemma/internal/git"
)

// kinds are what the tools of agents do, by the name in lower case without
// anything but letters: read_file, ReadFile and read-file are one.
var kinds = map[string]Kind{
	"read": KindRead, "readfile": KindRead, "view": KindRead, "viewfile": KindRead, "readmanyfiles": KindRead,
	"notebookread": KindRead, "ls": KindRead, "listdir": KindRead, "listdirectory": KindRead, "viewimage": KindRead,
	"opendiff": KindRead, "readnotebookcelloutput": KindRead, "listfiles": KindRead, "viewcodeitem": KindRead,

	"write": KindEdit, "edit": KindEdit, "multiedit": KindEdit, "notebookedit": KindEdit, "writefile": KindEdit,
	"replace": KindEdit, "create": KindEdit, "createfile": KindEdit, "editfile": KindEdit, "strreplace": KindEdit,
	"strreplaceeditor": KindEdit, "applypatch": KindEdit, "delete": KindEdit, "deletefile": KindEdit,
	"inserteditintofile": KindEdit, "replacestringinfile": KindEdit, "multireplacestringinfile": KindEdit,
	"editnotebookfile": KindEdit, "searchreplace": KindEdit, "patch": KindEdit, "codeaction": KindEdit,
	"replacefilecontent": KindEdit, "writetofile": KindEdit, "insert": KindEdit, "undoedit": KindEdit, "createdirectory": KindEdit,

	"bash": KindRun, "shell": KindRun, "runshellcommand": KindRun, "execcommand": KindRun, "localshell": KindRun,
	"runinterminal": KindRun, "execute": KindRun, "runcommand": KindRun, "shellcommand": KindRun, "powershell": KindRun,
	"runterminalcmd": KindRun, "runterminalcommand": KindRun, "containerexec": KindRun, "runtests": KindRun, "runtask": KindRun,

	"grep": KindSearch, "glob": KindSearch, "grepsearch": KindSearch, "filesearch": KindSearch, "search": KindSearch,
	"codebasesearch": KindSearch, "semanticsearch": KindSearch, "searchfilecontent": KindSearch, "finder": KindSearch,
	"list": KindSearch, "find": KindSearch, "lsp": KindSearch, "findfiles": KindSearch, "listcodeusages": KindSearch,

	"webfetch": KindFetch, "websearch": KindFetch, "googlewebsearch": KindFetch, "readwebpage": KindFetch,
	"fetch": KindFetch, "fetchwebpage": KindFetch, "fetchurl": KindFetch, "webfetchtool": KindFetch, "readurlcontent": KindFetch,

	"task": KindSpawn, "agent": KindSpawn, "spawnagent": KindSpawn, "subagent": KindSpawn, "runsubagent": KindSpawn,
	"delegatetoagent": KindSpawn, "oracle": KindSpawn,

	"todowrite": KindPlan, "updateplan": KindPlan, "todoread": KindPlan, "taskcreate": KindPlan, "taskupdate": KindPlan,
	"tasklist": KindPlan, "taskget": KindPlan, "exitplanmode": KindPlan, "enterplanmode": KindPlan, "writetodos": KindPlan,
	"managetodolist": KindPlan, "exitspecmode": KindPlan, "updatetodo": KindPlan, "todos": KindPlan,

	"askuserquestion": KindAsk, "askuser": KindAsk, "askquestions": KindAsk, "requestuserinput": KindAsk, "question": KindAsk,

	"skill": KindSkill,
}

// KindOf tells what a tool does from its name, and which MCP server has it.
func KindOf(name string) (kind Kind, server string) {
	if rest, ok := strings.CutPrefix(name, "mcp__"); ok {
		server, _, _ = strings.Cut(rest, "__")
		return KindMCP, clean(server, 256)
	}
	if len(name) > 64 {
		return KindOther, ""
	}
	letters := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return -1
		}
	}, name)
	if kind, ok := kinds[letters]; ok {
		return kind, ""
	}
	return KindOther, ""
}

// NewCall gives a call with what its name and its input tell: the kind, files
// with the lines that an edit writes, the command, the tests, the task that is
// delegated. Agents name the parts of their tools' input much alike.
func (b *Builder) NewCall(id, name string, input Value) Call {
	c := Call{ID: id, Name: name, Input: input.Len(), At: Span{input.Offset(), input.Len()}}
	c.Kind, c.Server = KindOf(name)
	args := input.Embedded()
	if !args.IsObject() {
		if args.IsString() || input.IsString() {
			b.freeform(&c, input)
		}
		return c
	}
	b.describe(&c, args)
	return c
}

// freeform is the input of a tool that takes a text: a patch or a command.
func (b *Builder) freeform(c *Call, input Value) {
	if text, _ := input.TextUpTo(MaxDocument); c.Kind == KindEdit || strings.HasPrefix(text, "*** Begin Patch") {
		c.Kind = KindEdit
		patch(c, text)
	} else if c.Kind == KindRun {
		c.Command = b.String(text, MaxShort)
		c.Test = testOf(text)
	}
}

// wholeContent are the parts of an input that hold all of a file that is written.
var wholeContent = []string{"content", "contents", "file_text", "new_content", "CodeContent"}

func (b *Builder) describe(c *Call, args Value) {
	var path, removed, added string
	var hasRemoved, hasAdded, whole bool
	var text Value
	c.Edits = nil
	args.Each(func(name []byte, v Value) {
		switch string(name) {
		case "file_path", "filePath", "filepath", "path", "notebook_path", "absolute_path", "AbsolutePath",
			"target_file", "TargetFile", "filename", "relativePath", "uri":
			if path == "" && v.IsString() {
				path = Path(v)
			}
		case "paths", "filePaths":
			v.Items(func(v Value) { c.touch(Path(v), Read) })
		case "files":
			v.Items(func(v Value) {
				if v.IsString() {
					c.touch(Path(v), Read)
				} else if p := v.Get("path"); p.IsString() {
					c.touch(Path(p), Read)
				}
			})
		case "old_string", "old_str", "oldString", "oldText", "TargetContent":
			removed, hasRemoved = v.Text(), true
		case "new_string", "new_str", "newString", "newText", "content", "contents", "file_text", "new_content",
			"new_source", "CodeContent", "ReplacementContent", "insert_text", "code":
			if v.IsString() && c.Kind == KindEdit {
				added, hasAdded = v.Text(), true
				whole = slices.Contains(wholeContent, string(name))
			}
		case "edits", "replacements":
			if c.Kind == KindEdit {
				v.Items(func(v Value) { c.replace(path, v) })
			}
		case "command", "cmd", "CommandLine", "input", "patch", "patchText", "patch_text":
			text = v
		case "description", "title", "task_name":
			if c.Kind == KindSpawn && v.IsString() {
				c.spawn().Name, _ = v.TextUpTo(256)
			}
		case "subagent_type", "agent_type", "agentName", "agent_name", "subagentType":
			if c.Kind == KindSpawn {
				c.spawn().Role, _ = v.TextUpTo(256)
			}
		case "prompt", "message", "task", "objective":
			if c.Kind == KindSpawn {
				c.spawn().Task = b.Text(v, MaxText)
			}
		case "skill":
			c.Skill, _ = v.TextUpTo(256)
		}
	})
	if c.Kind == KindSpawn {
		c.spawn()
	}
	if text.Exists() {
		b.command(c, text)
	}
	switch {
	case path == "":
		for i := range c.Edits {
			if c.Edits[i].Path != "" {
				path = c.Edits[i].Path
			}
		}
	case c.Kind == KindRead:
		c.touch(path, Read)
	}
	if c.Kind != KindEdit {
		return
	}
	for i := range c.Edits {
		if c.Edits[i].Path == "" {
			c.Edits[i].Path = path // the path stands behind the edits
		}
	}
	for i := range c.Files {
		if c.Files[i].Path == "" {
			c.Files[i].Path = path
		}
	}
	if hasAdded || hasRemoved {
		access := Write
		if letters := strings.ToLower(c.Name); strings.HasPrefix(letters, "create") {
			access = Create
		}
		c.wrote(path, access, removed, added)
		c.Edits[len(c.Edits)-1].Whole = whole && !hasRemoved
	} else if path != "" && len(c.Files) == 0 {
		access := Write
		if strings.HasPrefix(strings.ToLower(c.Name), "delete") {
			access = Delete
		}
		c.touch(path, access)
	}
}

// command is what a call runs: a text, or a list of words.
func (b *Builder) command(c *Call, v Value) {
	text, _ := v.TextUpTo(MaxDocument)
	if v.IsArray() {
		var words []string
		v.Items(func(v Value) { words = append(words, v.Text()) })
		if len(words) >= 3 && strings.HasSuffix(words[0], "sh") && strings.HasPrefix(words[1], "-") {
			words = words[2:] // bash -lc "..."
		}
		text = strings.Join(words, " ")
	}
	if i := strings.Index(text, "*** Begin Patch"); i >= 0 && (c.Kind == KindEdit || strings.Contains(text[:i], "apply_patch")) {
		c.Kind = KindEdit
		patch(c, text[i:])
		return
	}
	if c.Kind == KindRun {
		c.Command = b.String(text, MaxShort)
		c.Test = testOf(text)
	}
}

// replace is one entry of a list of edits.
func (c *Call) replace(path string, v Value) {
	var removed, added string
	v.Each(func(name []byte, v Value) {
		switch string(name) {
		case "old_string", "old_str", "oldString", "oldText":
			removed = v.Text()
		case "new_string", "new_str", "newString", "newText":
			added = v.Text()
		case "filePath", "file_path", "path":
			path = Path(v)
		}
	})
	c.wrote(path, Write, removed, added)
}

func (c *Call) spawn() *Spawn {
	if c.Spawn == nil {
		c.Spawn = &Spawn{}
	}
	return c.Spawn
}

// touch notes that the call touched a file.
func (c *Call) touch(path string, access Access) *File {
	for i := range c.Files {
		if c.Files[i].Path == path {
			return &c.Files[i]
		}
	}
	if len(c.Files) >= 1000 {
		return &File{}
	}
	c.Files = append(c.Files, File{Path: path, Access: access})
	return &c.Files[len(c.Files)-1]
}

// wrote notes an edit that puts added where removed was.
func (c *Call) wrote(path string, access Access, removed, added string) {
	f := c.touch(path, access)
	old, new := lineHashes(removed), lineHashes(added)
	gone, came := trimCommon(textLines(removed), textLines(added))
	f.Removed += gone
	f.Added += came
	c.Edits = append(c.Edits, Edit{Path: path, Old: old, New: new})
}

// Path reads a path: a file URL is the path in it.
func Path(v Value) string {
	p, _ := v.TextUpTo(MaxShort)
	if rest, ok := strings.CutPrefix(p, "file://"); ok {
		p = unescapeURL(rest)
	}
	return p
}

func unescapeURL(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if r := hex4([]byte("00" + s[i+1:i+3])); r > 0 {
				out.WriteByte(byte(r))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// patch reads a patch in the format of the apply_patch tools: "*** Update File:
// path" and hunks whose lines begin with a plus, a minus or a space.
func patch(c *Call, text string) {
	var f *File
	var edit *Edit
	moved := false
	flush := func() {
		if edit != nil && (len(edit.Old) > 0 || len(edit.New) > 0) {
			c.Edits = append(c.Edits, *edit)
		}
		edit = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if head, ok := strings.CutPrefix(line, "*** "); ok {
			verb, path, ok := strings.Cut(head, ": ")
			if !ok {
				continue
			}
			path = clean(strings.TrimSpace(path), MaxShort)
			switch verb {
			case "Update File":
				flush()
				f = c.touch(path, Write)
			case "Add File":
				flush()
				f = c.touch(path, Create)
			case "Delete File":
				flush()
				f = c.touch(path, Delete)
			case "Move to":
				flush()
				f = c.touch(path, Create)
			}
			edit, moved = nil, verb == "Move to"
			continue
		}
		if f == nil || line == "" {
			continue
		}
		if edit == nil || strings.HasPrefix(line, "@@") {
			flush()
			edit = &Edit{Path: f.Path, Whole: f.Access == Create && !moved}
		}
		switch line[0] {
		case '+':
			f.Added++
			edit.New = append(edit.New, lineHashes(line[1:])...)
		case '-':
			f.Removed++
			edit.Old = append(edit.Old, lineHashes(line[1:])...)
		}
		// touch may have moved the files: take the pointer again.
		f = c.touch(f.Path, f.Access)
	}
	flush()
}

// maxHashes is how many lines of one edit are hashed.
const maxHashes = 20_000

// lineHashes gives a line for each that has more than white space, as package
// git compares them: what only a formatter changed is the same.
func lineHashes(text string) []git.Line {
	var lines []git.Line
	for line := range strings.Lines(text) {
		if l := git.LineOf([]byte(strings.TrimRight(line, "\r\n"))); l.Weight() > 0 && len(lines) < maxHashes {
			lines = append(lines, l)
		}
	}
	return lines
}

func textLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

// trimCommon counts the lines of both without those they begin and end with
// in common.
func trimCommon(a, b []string) (inA, inB int) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a), len(b)
}
