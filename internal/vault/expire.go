package vault

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxExpiry bounds how many sessions one erasure of retention names, so that its
// tombstone fits the log.
const maxExpiry = 500

// Expire erases what is kept longer than its class asks for at the time given: a
// compartment goes when its newest content is over its term. What a legal hold
// covers stays. It gives the erasures, at most one for each class and 500
// sessions; there are none where nothing is over its term. A dry run changes
// nothing.
func (v *Vault) Expire(ctx context.Context, now time.Time, dry bool) ([]Erasure, error) {
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return nil, fmt.Errorf("expire: %w", err)
	}
	defer unlock()
	holds, err := v.Holds(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("expire: %w", err)
	}
	var done []Erasure
	for _, class := range Classes {
		days := v.cfg.Retention.Days(class)
		if days == 0 {
			continue
		}
		over, err := v.over(ctx, class, now.Add(-time.Duration(days)*24*time.Hour).Unix(), holds)
		if err != nil {
			return done, fmt.Errorf("expire %s: %w", class, err)
		}
		for some := range slices.Chunk(over, maxExpiry) {
			in := &intent{State: intended, Erasure: Erasure{
				ID: newID(), Kind: KindRetention, Target: string(class), Reason: fmt.Sprintf("%s is kept for %d days", class, days),
				Basis: "retention policy", By: "stemma", Time: v.now(), Sessions: []string{}, Partly: []string{}, Kept: []string{},
			}}
			for _, o := range some {
				in.Parts = append(in.Parts, o.part)
				in.Partly = append(in.Partly, o.session)
			}
			slices.Sort(in.Partly)
			in.Partly = slices.Compact(in.Partly)
			if err := v.planFiles(ctx, in); err != nil {
				return done, err
			}
			if !dry {
				if err := v.intend(ctx, in); err != nil {
					return done, err
				}
				if err := v.carryOut(ctx, in); err != nil {
					return done, err
				}
			}
			done = append(done, in.Erasure)
		}
	}
	return done, nil
}

type overdue struct{ part, session string }

// over gives the compartments of a class whose newest content is from before a
// time, and that no hold covers.
func (v *Vault) over(ctx context.Context, class Class, before int64, holds []Hold) ([]overdue, error) {
	var list []overdue
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var o overdue
		var owners string
		if err := r.Scan(&o.part, &o.session, &owners); err != nil {
			return err
		}
		people := strings.Split(owners, " ")
		for _, h := range holds {
			if h.Kind == KindAll || h.Kind == KindSession && h.Target == o.session || h.Kind == KindPerson && slices.Contains(people, h.Target) {
				return nil
			}
		}
		list = append(list, o)
		return nil
	}, `
		select c.name || '/' || c.part, s.session,
			coalesce((select group_concat(o.person, ' ') from owner o where o.name = c.name), '')
		from compartment c join session s on s.name = c.name
		where c.class = ? and c.last <= ? and s.erasure = ''
		order by c.name, c.part`, class, before)
	return list, err
}
