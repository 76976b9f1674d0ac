package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
)

// sessionName is the name of a session's folder: a keyed hash.
func (v *Vault) sessionName(session string) string { return keyed(v.names, 16, "session", session) }

// partName is the name of a compartment.
func (v *Vault) partName(session, author string, class Class) string {
	return keyed(v.names, 8, "compartment", session, author, string(class))
}

// sessionNamed gives the key of a session by the name of its folder, or an
// [*ErasedError], or ErrNotFound.
func (v *Vault) sessionNamed(ctx context.Context, name string) (string, error) {
	var session, erasure string
	err := v.db.QueryRowContext(ctx, `select session, erasure from session where name = ?`, name).Scan(&session, &erasure)
	if err != nil {
		return "", indexError(err)
	}
	if erasure != "" {
		e, err := v.erasure(ctx, erasure)
		if err != nil {
			return "", err
		}
		return "", &ErasedError{e.Erasure}
	}
	return session, nil
}

// compartment gives the secret of the compartment that content belongs to, and
// makes it where there is none. Every owner can open it when compartment returns.
func (v *Vault) compartment(ctx context.Context, c Content) (*secret, error) {
	name, part := v.sessionName(c.Session), v.partName(c.Session, c.Author, c.Class)
	if _, err := v.sessionNamed(ctx, name); err != nil && !errors.Is(err, stemma.ErrNotFound) {
		return nil, err
	} else if e := (*ErasedError)(nil); errors.As(err, &e) {
		return nil, err
	}
	for _, person := range c.Owners {
		if e, err := v.erasureOfPerson(ctx, person); err != nil {
			return nil, err
		} else if e != nil {
			return nil, fmt.Errorf("person %s: %w", person, &ErasedError{*e})
		}
	}
	if s := v.cached(name, part); s != nil && v.ownedBy(name, part, c.Owners) {
		return s, nil
	}
	unlock, err := v.lock(ctx, keyLock, true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// The rows come first: a file without one would be missed by an erasure.
	if err := v.enter(ctx, name, part, c); err != nil {
		return nil, err
	}
	return v.wrap(ctx, name, part, c.Owners)
}

// enter puts a session, its owners and a compartment into the index.
func (v *Vault) enter(ctx context.Context, name, part string, c Content) error {
	return v.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into session (name, session, made) values (?, ?, ?) on conflict do nothing`, name, c.Session, v.now()); err != nil {
			return err
		}
		for _, person := range c.Owners {
			if _, err := tx.ExecContext(ctx, `insert into owner (name, person) values (?, ?) on conflict do nothing`, name, person); err != nil {
				return err
			}
		}
		now := v.now()
		_, err := tx.ExecContext(ctx, `
			insert into compartment (name, part, author, class, last, mark)
			values (?, ?, ?, ?, ?, ?)
			on conflict do nothing`, name, part, c.Author, c.Class, now, v.lastMark(name, part, now))
		return err
	})
}

// wrap makes the key of a compartment, unless there is one, and has every owner
// of the session able to open every compartment of it.
func (v *Vault) wrap(ctx context.Context, name, part string, owners []string) (*secret, error) {
	all, err := words(ctx, v.db, `select person from owner where name = ?`, name)
	if err != nil {
		return nil, err
	}
	parts, err := words(ctx, v.db, `select part from compartment where name = ?`, name)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		s, err := v.secret(ctx, name, p)
		switch {
		case errors.Is(err, stemma.ErrNotFound) && p == part:
			key, err := age.GenerateX25519Identity()
			if err != nil {
				return nil, err
			}
			if s, err = newSecret(name, p, key.String()); err != nil {
				return nil, err
			}
		case errors.Is(err, stemma.ErrNotFound):
			continue // another writer has entered it and makes its key next
		case err != nil:
			return nil, err
		}
		for _, person := range all {
			if err := v.wrapFor(s, person); err != nil {
				return nil, fmt.Errorf("wrap key for %s: %w", person, err)
			}
		}
		v.mu.Lock()
		v.secrets[name+"/"+p] = s
		v.mu.Unlock()
	}
	return v.cached(name, part), nil
}

// wrapFor makes the key file by which a person opens a compartment. The key lock
// is held.
func (v *Vault) wrapFor(s *secret, person string) error {
	path := v.keyPath(wrapFile(s.session, s.part, person)...)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	id, err := v.orMadePerson(person)
	if err != nil {
		return err
	}
	file, err := sealKey(id.Recipient(), []string{"session", s.session, s.part, person}, s.key.String())
	if err != nil {
		return err
	}
	if err := writeKey(path, file); err != nil && !errors.Is(err, fs.ErrExist) {
		return kind(err)
	}
	return nil
}

func wrapFile(name, part, person string) []string {
	return []string{"sessions", name, part + "." + person + ".key"}
}

func (v *Vault) cached(name, part string) *secret {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.secrets[name+"/"+part]
}

// ownedBy reports whether all of these people can open a compartment.
func (v *Vault) ownedBy(name, part string, owners []string) bool {
	for _, person := range owners {
		if _, err := os.Stat(v.keyPath(wrapFile(name, part, person)...)); err != nil {
			return false
		}
	}
	return true
}

// secret gives the key of a compartment by the first of its owners whose file is
// whole. It is ErrNotFound where there is no file, and ErrInvalid where all are
// damaged.
func (v *Vault) secret(_ context.Context, name, part string) (*secret, error) {
	files, err := os.ReadDir(v.keyPath("sessions", name))
	if err != nil {
		return nil, fmt.Errorf("keys of the session: %w", kind(err))
	}
	damaged := error(nil)
	for _, f := range files {
		person, mine := strings.CutPrefix(f.Name(), part+".")
		person, isKey := strings.CutSuffix(person, ".key")
		if !mine || !isKey {
			continue
		}
		if s := v.cached(name, part); s != nil {
			return s, nil
		}
		s, err := v.unwrap(name, part, person)
		if err != nil {
			// Also where the person's own key is gone: there is a key, and a new one
			// must not take its place.
			damaged = fmt.Errorf("%v: %w", err, stemma.ErrInvalid)
			continue
		}
		v.mu.Lock()
		v.secrets[name+"/"+part] = s
		v.mu.Unlock()
		return s, nil
	}
	if damaged != nil {
		return nil, damaged
	}
	return nil, fmt.Errorf("key of the compartment: %w", stemma.ErrNotFound)
}

// unwrap opens a compartment's key with the key of a person.
func (v *Vault) unwrap(name, part, person string) (*secret, error) {
	id, err := v.person(person)
	if err != nil {
		return nil, fmt.Errorf("key of person %s: %w", person, err)
	}
	text, err := v.readKey(id, []string{"session", name, part, person}, wrapFile(name, part, person)...)
	if err != nil {
		return nil, err
	}
	return newSecret(name, part, text)
}
