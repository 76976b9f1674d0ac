package main

import (
	"context"
	"errors"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// handed is what one session was asked to do, and what it handed back; nil is not
// known.
type handed struct{ task, result *agent.Text }

// handedOver reads from the vault what the sessions of trees were asked to do and
// handed back: as the session that asked has it, or else as their own first prompt
// and last answer have it. left counts the sessions whose content is not kept, or
// another person's.
func (b *bench) handedOver(ctx context.Context, all []agent.Tale, roots []*agent.Node) (by map[string]handed, left int, err error) {
	tales := make(map[string]agent.Tale, len(all))
	for _, t := range all {
		tales[t.Key] = t
	}
	contents := make(map[string]*agent.Session)
	open := func(key string) *agent.Session {
		t, ok := tales[key]
		if s, done := contents[key]; done || !ok || err != nil {
			return s
		}
		contents[key] = nil
		s, failed := b.content(ctx, t, "")
		switch {
		case failed == nil:
			contents[key] = &s
		case errors.Is(failed, stemma.ErrNotFound), errors.Is(failed, stemma.ErrDenied):
			left++
		default:
			err = failed
		}
		return contents[key]
	}
	by = make(map[string]handed)
	for _, root := range roots {
		root.Each(func(n *agent.Node) {
			if n.Parent == nil {
				return
			}
			h := asked(open(n.Parent.Key), n)
			if h.task == nil || h.result == nil {
				own := did(open(n.Key))
				if h.task == nil {
					h.task = own.task
				}
				if h.result == nil {
					h.result = own.result
				}
			}
			by[n.Key] = h
		})
	}
	return by, left, err
}

// asked gives what a session that spawned another one has of it.
func asked(parent *agent.Session, n *agent.Node) handed {
	if parent == nil {
		return handed{}
	}
	for _, t := range parent.Turns {
		for _, c := range t.Calls {
			if c.Spawn != nil && (c.ID != "" && c.ID == n.Call || c.Spawn.Session != "" && parent.Agent+"/"+c.Spawn.Session == n.Key) {
				return handed{c.Spawn.Task, c.Spawn.Result}
			}
		}
	}
	return handed{}
}

// did gives what a session has of its own task.
func did(s *agent.Session) (h handed) {
	if s == nil {
		return h
	}
	for _, t := range s.Turns {
		if h.task == nil {
			h.task = t.Prompt
		}
		if t.Answer != nil {
			h.result = t.Answer
		}
	}
	return h
}

// taskWidth is how many characters of a task are shown in a tree.
const taskWidth = 100

// beginning is the first line of a text that says something, as one line of a tree.
func beginning(t *agent.Text) string {
	for line := range strings.Lines(t.Text) {
		if line = strings.TrimSpace(line); line != "" {
			return strings.TrimRight(fit(plain(line), taskWidth), " ")
		}
	}
	return ""
}
