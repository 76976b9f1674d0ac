package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// Fault is one thing in the vault that is not as it was put there.
type Fault struct {
	// What is damaged or missing: "object 0f../a1../77..", "key sessions/0f../a1...key".
	What string `json:"what"`
	// Why is what is wrong with it.
	Why string `json:"why"`
}

// Checked counts what was looked at.
type Checked struct {
	Objects int `json:"objects"`
	Keys    int `json:"keys"`
}

// Check opens every key and every object, compares each object with its name,
// its row and its commitment, and tells of each fault. It goes on after faults;
// an error says that it could not go on, or is that of report. Content that is
// being put meanwhile is no fault.
func (v *Vault) Check(ctx context.Context, report func(Fault) error) (Checked, error) {
	var n Checked
	if err := v.checkIndex(ctx, report); err != nil {
		return n, fmt.Errorf("check vault: %w", err)
	}
	if err := v.checkKeys(ctx, &n, report); err != nil {
		return n, fmt.Errorf("check vault: %w", err)
	}
	if err := v.checkObjects(ctx, &n, report); err != nil {
		return n, fmt.Errorf("check vault: %w", err)
	}
	if err := v.checkExtracts(&n, report); err != nil {
		return n, fmt.Errorf("check vault: %w", err)
	}
	return n, nil
}

// checkKeys opens every key file, and misses those that rows ask for.
func (v *Vault) checkKeys(ctx context.Context, n *Checked, report func(Fault) error) error {
	wrong := func(name []string, err error) error {
		return report(Fault{"key " + strings.Join(name, "/"), strings.TrimSuffix(strings.TrimPrefix(err.Error(), "key "+filepath.Join(name...)+": "), ": "+stemma.ErrInvalid.Error())})
	}
	for _, folder := range []string{"persons", "links"} {
		files, err := os.ReadDir(v.keyPath(folder))
		if err != nil {
			return kind(err)
		}
		for _, f := range files {
			word, ok := strings.CutSuffix(f.Name(), ".key")
			if !ok || strings.HasPrefix(word, ".") {
				continue
			}
			n.Keys++
			name := []string{folder, f.Name()}
			if _, err := v.readKey(v.master, []string{strings.TrimSuffix(folder, "s"), word}, name...); err != nil {
				if err := wrong(name, err); err != nil {
					return err
				}
			}
		}
	}
	type wrapped struct{ name, part, person string }
	var all []wrapped
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var w wrapped
		err := r.Scan(&w.name, &w.part, &w.person)
		all = append(all, w)
		return err
	}, `
		select c.name, c.part, o.person
		from compartment c join session s on s.name = c.name join owner o on o.name = c.name
		where s.erasure = '' and exists (select 1 from object b where b.name = c.name and b.part = c.part)
		order by 1, 2, 3`)
	if err != nil {
		return err
	}
	for _, w := range all {
		n.Keys++
		if _, err := v.unwrap(w.name, w.part, w.person); err != nil {
			if err := wrong(wrapFile(w.name, w.part, w.person), err); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// checkObjects opens every object that the index lists.
func (v *Vault) checkObjects(ctx context.Context, n *Checked, report func(Fault) error) error {
	var after object
	for {
		// Some at a time: the index is not held while objects are read.
		var some []object
		err := rows(ctx, v.db, func(r *sql.Rows) error {
			var o object
			err := r.Scan(&o.Session, &o.Part, &o.ID, &o.Size, &o.Made, &o.commitment, &o.Author, &o.Class)
			some = append(some, o)
			return err
		}, `
			select b.name, b.part, b.id, b.size, b.made, b.commitment, c.author, c.class
			from object b join session s on s.name = b.name join compartment c on c.name = b.name and c.part = b.part
			where s.erasure = '' and (b.name, b.part, b.id) > (?, ?, ?)
			order by b.name, b.part, b.id
			limit 256`, after.Session, after.Part, after.ID)
		if err != nil {
			return err
		}
		if len(some) == 0 {
			return ctx.Err()
		}
		for _, row := range some {
			n.Objects++
			if why := v.checkObject(ctx, row); why != "" {
				if err := report(Fault{"object " + row.name(), why}); err != nil {
					return err
				}
			}
		}
		after = some[len(some)-1]
	}
}

// checkObject gives what is wrong with an object, or "".
func (v *Vault) checkObject(ctx context.Context, row object) string {
	s, err := v.secret(ctx, row.Session, row.Part)
	if err == nil {
		var sealed []byte
		if sealed, err = v.cfg.Objects.Get(ctx, row.name(), maxSealed); err == nil {
			var o object
			if o, _, err = v.unseal(s, row.ID, sealed); err == nil {
				if o.commitment != row.commitment || o.Size != row.Size || o.Made != row.Made || o.Author != row.Author || o.Class != row.Class {
					return "the index says something else of it than its head"
				}
				return ""
			}
		}
	}
	if gone, gerr := v.gone(ctx, row); gerr == nil && gone {
		return ""
	}
	return strings.TrimSuffix(err.Error(), ": "+stemma.ErrInvalid.Error())
}

// gone reports whether an object was erased since its row was read.
func (v *Vault) gone(ctx context.Context, row object) (bool, error) {
	var there int
	err := v.db.QueryRowContext(ctx, `
		select 1 from object b join session s on s.name = b.name
		where s.erasure = '' and b.name = ? and b.part = ? and b.id = ?`, row.Session, row.Part, row.ID).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	return false, indexError(err)
}

// SessionSummary is what the vault holds of a session.
type SessionSummary struct {
	Session string   `json:"session"`
	Owners  []string `json:"owners"`
	Objects int      `json:"objects"`
	Bytes   int64    `json:"bytes"`
	Newest  int64    `json:"newest"` // UTC seconds
}

// Sessions gives what the vault holds of each session that is not erased, in
// the order of their keys.
func (v *Vault) Sessions(ctx context.Context) ([]SessionSummary, error) {
	var list []SessionSummary
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var s SessionSummary
		var owners string
		if err := r.Scan(&s.Session, &owners, &s.Objects, &s.Bytes, &s.Newest); err != nil {
			return err
		}
		s.Owners = slices.Sorted(strings.FieldsSeq(owners))
		list = append(list, s)
		return nil
	}, `
		select s.session,
			coalesce((select group_concat(o.person, ' ') from owner o where o.name = s.name), ''),
			count(b.id), coalesce(sum(b.size), 0), coalesce(max(b.made), 0)
		from session s left join object b on b.name = s.name
		where s.erasure = ''
		group by s.name
		order by s.session`)
	return list, err
}
