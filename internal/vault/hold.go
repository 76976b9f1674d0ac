package vault

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/stemma-dev/stemma"
)

// KindAll is the kind of a hold on everything.
const KindAll = "all"

// Hold is a legal hold: nothing that it covers is erased or expires. Duties and
// claims in law go before the wish to be forgotten (GDPR, Article 17(3)(b) and (e)).
type Hold struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"` // session, person or all
	Target   string `json:"target"`
	Reason   string `json:"reason"`
	Made     int64  `json:"made"`     // UTC seconds
	Released int64  `json:"released"` // UTC seconds; 0 while it is in force
}

// Hold puts a legal hold on a session, a person or everything. What it names
// need not exist yet. It is ErrInvalid without a reason.
func (v *Vault) Hold(ctx context.Context, what, target, reason string) (Hold, error) {
	h := Hold{ID: newID()[:12], Kind: what, Target: target, Reason: reason, Made: v.now()}
	switch {
	case what != KindSession && what != KindPerson && what != KindAll:
		return Hold{}, fmt.Errorf("hold: on a session, a person or all, not on %q: %w", what, stemma.ErrInvalid)
	case (target == "") != (what == KindAll) || len(target) > 512:
		return Hold{}, fmt.Errorf("hold: a session or a person is to be named: %w", stemma.ErrInvalid)
	case what == KindPerson && !isPseudonym(target):
		return Hold{}, fmt.Errorf("hold: %q is no pseudonym: %w", target, stemma.ErrInvalid)
	case reason == "" || len(reason) > 1000:
		return Hold{}, fmt.Errorf("hold: a reason is needed: %w", stemma.ErrInvalid)
	}
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return Hold{}, fmt.Errorf("hold: %w", err)
	}
	defer unlock()
	err = v.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into hold (id, kind, target, reason, made) values (?, ?, ?, ?, ?)`, h.ID, h.Kind, h.Target, h.Reason, h.Made)
		return err
	})
	if err != nil {
		return Hold{}, fmt.Errorf("hold: %w", err)
	}
	return h, nil
}

// Holds gives the holds, the oldest first, with or without those released.
func (v *Vault) Holds(ctx context.Context, released bool) ([]Hold, error) {
	var list []Hold
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var h Hold
		if err := r.Scan(&h.ID, &h.Kind, &h.Target, &h.Reason, &h.Made, &h.Released); err != nil {
			return err
		}
		if released || h.Released == 0 {
			list = append(list, h)
		}
		return nil
	}, `select id, kind, target, reason, made, released from hold order by made, id`)
	return list, err
}

// Release ends a hold and carries out the erasures that waited for it and that
// no other hold forbids. It gives them. It is ErrNotFound where there is no such
// hold in force.
func (v *Vault) Release(ctx context.Context, id string) ([]Erasure, error) {
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return nil, fmt.Errorf("release hold %s: %w", id, err)
	}
	defer unlock()
	err = v.transact(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `update hold set released = ? where id = ? and released = 0`, max(v.now(), 1), id)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("no hold of this id is in force: %w", stemma.ErrNotFound)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("release hold %s: %w", id, err)
	}
	return v.carryOutWaiting(ctx)
}

// carryOutWaiting carries out the erasures that no hold forbids any more.
func (v *Vault) carryOutWaiting(ctx context.Context) ([]Erasure, error) {
	pending, err := v.intents(ctx, `state = 0`)
	if err != nil {
		return nil, err
	}
	var done []Erasure
	for _, was := range pending {
		// What it names may have grown since.
		in, err := v.plan(ctx, was.Kind, Request{was.Target, was.Reason, was.Basis, was.By})
		if errors.Is(err, stemma.ErrNotFound) {
			// Another erasure took it meanwhile.
			if err := v.drop(ctx, was); err != nil {
				return done, err
			}
			continue
		}
		if err != nil {
			return done, fmt.Errorf("erase %s %s: %w", was.Kind, was.Target, err)
		}
		in.ID = was.ID
		if forbid, err := v.forbids(ctx, in); err != nil {
			return done, err
		} else if len(forbid) > 0 {
			continue
		}
		in.State = intended
		if err := v.intend(ctx, in); err != nil {
			return done, err
		}
		if err := v.carryOut(ctx, in); err != nil {
			return done, err
		}
		done = append(done, in.Erasure)
	}
	return done, nil
}

// drop forgets an erasure that waits.
func (v *Vault) drop(ctx context.Context, in *intent) error {
	return v.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `delete from erasure where id = ? and state = 0`, in.ID)
		return err
	})
}

// forbids gives the holds in force that forbid an erasure. A hold on a
// person is on every session of that person, and a hold on a session is on
// everybody who owns it.
func (v *Vault) forbids(ctx context.Context, in *intent) ([]Hold, error) {
	holds, err := v.Holds(ctx, false)
	if err != nil || len(holds) == 0 {
		return nil, err
	}
	sessions := slices.Concat(in.Sessions, in.Partly)
	people := []string{}
	if in.Kind == KindPerson {
		people = append(people, in.Target)
	}
	for _, s := range sessions {
		owners, err := words(ctx, v.db, `select person from owner where name = ?`, v.sessionName(s))
		if err != nil {
			return nil, err
		}
		people = append(people, owners...)
	}
	return slices.DeleteFunc(holds, func(h Hold) bool {
		return h.Kind != KindAll && (h.Kind != KindSession || !slices.Contains(sessions, h.Target)) && (h.Kind != KindPerson || !slices.Contains(people, h.Target))
	}), nil
}

// newID draws an id.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
