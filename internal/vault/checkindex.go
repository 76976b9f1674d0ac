package vault

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stemma-dev/stemma"
)

// checkIndex compares the rows of the index with one another, with the names that
// are keyed hashes of what they say, and with the files of keys.
func (v *Vault) checkIndex(ctx context.Context, report func(Fault) error) error {
	x := &indexCheck{v: v, ctx: ctx, report: report}
	for _, step := range []func() error{x.structure, x.sessions, x.compartments, x.orphans, x.erasures, x.links, x.keyFiles} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type indexCheck struct {
	v      *Vault
	ctx    context.Context
	report func(Fault) error
}

func (x *indexCheck) say(what, why string, args ...any) error {
	return x.report(Fault{"index " + what, fmt.Sprintf(why, args...)})
}

// each calls f for each row of a query; its texts are in words.
func (x *indexCheck) each(n int, f func(words []string) error, query string) error {
	var list [][]string
	err := rows(x.ctx, x.v.db, func(r *sql.Rows) error {
		words, at := make([]string, n), make([]any, n)
		for i := range words {
			at[i] = &words[i]
		}
		list = append(list, words)
		return r.Scan(at...)
	}, query)
	if err != nil {
		return err
	}
	for _, words := range list {
		if err := f(words); err != nil {
			return err
		}
	}
	return nil
}

// structure asks the database whether its pages and keys hold together.
func (x *indexCheck) structure() error {
	return x.each(1, func(w []string) error {
		if w[0] == "ok" {
			return nil
		}
		return x.report(Fault{"index", w[0]})
	}, `pragma integrity_check(100)`)
}

func (x *indexCheck) sessions() error {
	return x.each(4, func(w []string) error {
		switch {
		case w[0] != x.v.sessionName(w[1]):
			return x.say("session "+w[0], "its name is not that of %q", w[1])
		case w[2] != "" && w[3] == "0":
			return x.say("session "+w[0], "is erased by %s, which is not there", w[2])
		}
		return nil
	}, `select name, session, erasure, (select count(*) from erasure e where e.id = s.erasure) from session s`)
}

func (x *indexCheck) compartments() error {
	return x.each(8, func(w []string) error {
		last, err := strconv.ParseInt(w[6], 10, 64)
		switch {
		case w[1] != x.v.partName(w[2], w[3], Class(w[4])):
			return x.say("compartment "+w[0]+"/"+w[1], "its name is not that of what one person wrote in the session")
		case err != nil || w[7] != x.v.lastMark(w[0], w[1], last):
			return x.say("compartment "+w[0]+"/"+w[1], "when it was last added to was changed")
		case w[5] == "1":
			return x.say("compartment "+w[0]+"/"+w[1], "its newest object is younger than it says")
		}
		return nil
	}, `
		select c.name, c.part, s.session, c.author, c.class,
			exists (select 1 from object o where o.name = c.name and o.part = c.part and o.made > c.last),
			c.last, c.mark
		from compartment c join session s on s.name = c.name`)
}

// orphans looks for rows that belong to nothing.
func (x *indexCheck) orphans() error {
	return x.each(2, func(w []string) error { return x.say(w[0]+" "+w[1], "belongs to nothing") }, `
		select 'owner', name || '/' || person from owner o where not exists (select 1 from session s where s.name = o.name)
		union all
		select 'compartment', name || '/' || part from compartment c where not exists (select 1 from session s where s.name = c.name)
		union all
		select 'object', name || '/' || part || '/' || id from object b
		where not exists (select 1 from compartment c where c.name = b.name and c.part = b.part)`)
}

func (x *indexCheck) erasures() error {
	return x.each(6, func(w []string) error {
		var in intent
		err := json.Unmarshal([]byte(w[5]), &in)
		if err != nil || w[0] != in.ID || w[2] != in.Kind || w[3] != in.Target || w[4] != fmt.Sprint(in.Time) || len(w[1]) != 1 || w[1] > "3" {
			return x.say("erasure "+w[0], "its row and its detail do not say the same")
		}
		return nil
	}, `select id, state, kind, target, made, detail from erasure`)
}

// links compares the files that lead from identities to people with their rows,
// which are there before them.
func (x *indexCheck) links() error {
	files, err := os.ReadDir(x.v.keyPath("links"))
	if err != nil {
		return kind(err)
	}
	people := make(map[string]string)
	if err := x.each(2, func(w []string) error { people[w[0]] = w[1]; return nil }, `select link, person from link`); err != nil {
		return err
	}
	if busy, err := x.erasing(); err != nil || busy {
		return err
	}
	for _, f := range files {
		link, ok := strings.CutSuffix(f.Name(), ".key")
		if !ok || strings.HasPrefix(link, ".") {
			continue
		}
		person, err := x.v.readKey(x.v.master, []string{"link", link}, "links", f.Name())
		if err != nil {
			continue // told of with the keys, or erased meanwhile
		}
		if people[link] != person {
			if err := x.say("link "+link, "is not that of the person to whom its file leads"); err != nil {
				return err
			}
		}
	}
	return nil
}

// keyFiles looks for keys of sessions that no row knows: an erasure would miss them.
func (x *indexCheck) keyFiles() error {
	files, err := matching(x.v.keyPath("sessions"), "*/*.key")
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	if busy, err := x.erasing(); err != nil || busy {
		return err
	}
	for _, path := range files {
		name := filepath.Base(filepath.Dir(path))
		part, person, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".key"), ".")
		if part == "" {
			continue // being written
		}
		var there int
		err := x.v.db.QueryRowContext(x.ctx, `
			select 1 from owner o join compartment c on c.name = o.name
			where o.name = ? and o.person = ? and c.part = ?`, name, person, part).Scan(&there)
		if errors.Is(err, sql.ErrNoRows) {
			if _, err := os.Stat(path); err != nil {
				continue // erased meanwhile
			}
			if err := x.report(Fault{"key " + strings.Join(wrapFile(name, part, person), "/"), "the index does not know it"}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return indexError(err)
		}
	}
	return nil
}

// erasing reports whether an erasure is on its way: it takes the rows first, and
// then the keys.
func (x *indexCheck) erasing() (bool, error) {
	open, err := x.v.intents(x.ctx, `state = 1`)
	if errors.Is(err, stemma.ErrInvalid) {
		return false, nil // told of already
	}
	return len(open) > 0, err
}
