package vault

import (
	"cmp"
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

// HoldLog is where legal holds are stated, for all time.
type HoldLog interface {
	// State states that a hold was placed or, where it has a time of release,
	// released by somebody, and gives back when that is durable. It may be told the
	// same again.
	State(ctx context.Context, h Hold, by string) error
	// Stated gives every hold that was stated, released ones with their time.
	Stated(ctx context.Context) ([]Hold, error)
}

// Hold puts a legal hold on a session, a person or everything, and says who did: a
// pseudonym, or the name of a program. What it names need not exist yet. It is
// ErrInvalid without a reason.
func (v *Vault) Hold(ctx context.Context, what, target, reason, by string) (Hold, error) {
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
	// Stated first: from then on it is in force, whatever becomes of the index.
	if err := v.state(ctx, h, by); err != nil {
		return Hold{}, fmt.Errorf("hold: %w", err)
	}
	if err := v.indexHolds(ctx, []Hold{h}); err != nil {
		return Hold{}, fmt.Errorf("hold: %w", err)
	}
	return h, nil
}

func (v *Vault) state(ctx context.Context, h Hold, by string) error {
	if v.cfg.Holds == nil {
		return nil
	}
	return v.cfg.Holds.State(ctx, h, by)
}

// Holds gives the holds, the oldest first, with or without those released: those
// that are stated, as they are stated, and what else the index has.
func (v *Vault) Holds(ctx context.Context, released bool) ([]Hold, error) {
	list, err := v.IndexedHolds(ctx)
	if err != nil {
		return nil, err
	}
	if v.cfg.Holds != nil {
		stated, err := v.cfg.Holds.Stated(ctx)
		if err != nil {
			return nil, fmt.Errorf("holds that are stated: %w", err)
		}
		for _, h := range stated {
			if i := slices.IndexFunc(list, func(o Hold) bool { return o.ID == h.ID }); i >= 0 {
				list[i] = h
			} else {
				list = append(list, h)
			}
		}
	}
	list = slices.DeleteFunc(list, func(h Hold) bool { return h.Released != 0 && !released })
	slices.SortFunc(list, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Made, b.Made), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// IndexedHolds gives the holds that the index has, released ones as well, for who
// compares them with those that are stated.
func (v *Vault) IndexedHolds(ctx context.Context) ([]Hold, error) {
	var list []Hold
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var h Hold
		err := r.Scan(&h.ID, &h.Kind, &h.Target, &h.Reason, &h.Made, &h.Released)
		list = append(list, h)
		return err
	}, `select id, kind, target, reason, made, released from hold order by made, id`)
	return list, err
}

// RestoreHolds puts the holds that are stated back into the index, where they are
// missing or otherwise in it, and gives those.
func (v *Vault) RestoreHolds(ctx context.Context) ([]Hold, error) {
	if v.cfg.Holds == nil {
		return nil, nil
	}
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return nil, fmt.Errorf("restore holds: %w", err)
	}
	defer unlock()
	stated, err := v.cfg.Holds.Stated(ctx)
	if err != nil {
		return nil, fmt.Errorf("holds that are stated: %w", err)
	}
	have, err := v.IndexedHolds(ctx)
	if err != nil {
		return nil, fmt.Errorf("restore holds: %w", err)
	}
	lost := slices.DeleteFunc(stated, func(h Hold) bool { return slices.Contains(have, h) })
	if len(lost) == 0 {
		return nil, nil
	}
	return lost, v.indexHolds(ctx, lost)
}

// indexHolds puts holds into the index as they are. The vault is locked.
func (v *Vault) indexHolds(ctx context.Context, list []Hold) error {
	return v.transact(ctx, func(tx *sql.Tx) error {
		for _, h := range list {
			if _, err := tx.ExecContext(ctx, `insert or replace into hold (id, kind, target, reason, made, released) values (?, ?, ?, ?, ?, ?)`,
				h.ID, h.Kind, h.Target, h.Reason, h.Made, h.Released); err != nil {
				return err
			}
		}
		return nil
	})
}

// Release ends a hold, and says who did, and carries out the erasures that waited for
// it and that no other hold forbids. It gives them. It is ErrNotFound where there is no
// such hold in force.
func (v *Vault) Release(ctx context.Context, id, by string) ([]Erasure, error) {
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return nil, fmt.Errorf("release hold %s: %w", id, err)
	}
	defer unlock()
	holds, err := v.Holds(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("release hold %s: %w", id, err)
	}
	at := slices.IndexFunc(holds, func(h Hold) bool { return h.ID == id })
	if at < 0 {
		return nil, fmt.Errorf("release hold %s: no hold of this id is in force: %w", id, stemma.ErrNotFound)
	}
	h := holds[at]
	h.Released = max(v.now(), 1)
	if err := v.state(ctx, h, by); err != nil {
		return nil, fmt.Errorf("release hold %s: %w", id, err)
	}
	if err := v.indexHolds(ctx, []Hold{h}); err != nil {
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
