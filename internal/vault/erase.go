package vault

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
)

// The kinds of erasures.
const (
	// KindSession erases a session.
	KindSession = "session"
	// KindPerson erases a person: see the package's rule of who owns what.
	KindPerson = "person"
	// KindRetention erases what is kept no longer; see [Vault.Expire].
	KindRetention = "retention"
)

// Request is the wish to erase.
type Request struct {
	Target string // the key of a session, or the pseudonym of a person
	Reason string // for the statement: no personal data belongs in it
	Basis  string // the legal basis, such as "GDPR Art. 17(1)(a)"
	By     string // who wants it: a pseudonym, or the name of a program
}

// Erasure is what was erased, and why: the content of the tombstone.
type Erasure struct {
	ID     string `json:"id"` // 32 hexadecimal digits
	Kind   string `json:"kind"`
	Target string `json:"target"` // of a retention: the class
	Reason string `json:"reason"`
	Basis  string `json:"legalBasis"`
	By     string `json:"by"`
	Time   int64  `json:"time"` // UTC seconds
	// Sessions are the keys of the sessions that are erased as a whole.
	Sessions []string `json:"sessions"`
	// Partly are the keys of the sessions of which other owners keep their part.
	Partly []string `json:"partly"`
	// Gone are the references that can not be opened any more. One that ends with a
	// slash is for all that begin with it.
	Gone []string `json:"gone"`
	// Kept are the references of what other owners keep; they end with a slash.
	Kept []string `json:"kept"`
	// Objects and Keys count the encrypted objects and the keys that were destroyed.
	Objects int `json:"objects"`
	Keys    int `json:"keys"`
	// KeyFiles are the destroyed files, relative to the folder of keys: what a
	// copy of that folder has to lose as well. They are forgotten when the
	// erasure is told.
	KeyFiles []string `json:"-"`
}

// Place is another place where what is erased may lie.
type Place interface {
	// Name says which place it is, for reports: "spool".
	Name() string
	// Erase removes what the erasure names and gives back when that is durable. It
	// may be called again with the same erasure, also when all of it is gone.
	Erase(ctx context.Context, e Erasure) error
}

// The states of an erasure, in order.
const (
	waiting   = iota // for a legal hold to be released
	intended         // nobody can use what it names; the keys may be there
	destroyed        // all of it is gone; the tombstone may not be told
	told
)

// intent is an erasure as the index holds it.
type intent struct {
	Erasure
	State int      `json:"-"`
	Files []string `json:"keyFiles,omitempty"`
	Parts []string `json:"parts,omitempty"` // compartments, "session/part"
	Names []string `json:"names,omitempty"` // folders of whole sessions
	Links []string `json:"links,omitempty"`
}

// EraseSession destroys the keys and the content of a session, whoever owns it,
// and appends the tombstone. Where a legal hold forbids it, it is a [*HeldError],
// and is carried out when the holds are released. It is ErrNotFound where the
// vault knows no such session; erasing again gives the first erasure.
//
// It may be stopped anywhere: from the first moment the content can no longer be
// opened or added to, and [Vault.Resume] carries it to its end.
func (v *Vault) EraseSession(ctx context.Context, r Request) (Erasure, error) {
	return v.erase(ctx, KindSession, r)
}

// ErasePerson destroys a person's key and identities, what the person wrote, and
// the sessions that nobody else owns, and appends the tombstone. All else as
// [Vault.EraseSession].
func (v *Vault) ErasePerson(ctx context.Context, r Request) (Erasure, error) {
	return v.erase(ctx, KindPerson, r)
}

// Preview tells what an erasure would destroy, and the holds that forbid it now.
// It changes nothing.
func (v *Vault) Preview(ctx context.Context, kind string, r Request) (Erasure, []Hold, error) {
	in, err := v.plan(ctx, kind, r)
	if err != nil {
		return Erasure{}, nil, err
	}
	forbid, err := v.forbids(ctx, in)
	return in.Erasure, forbid, err
}

func (v *Vault) erase(ctx context.Context, what string, r Request) (Erasure, error) {
	if r.Reason == "" || r.Basis == "" || len(r.Reason) > 1000 || len(r.Basis) > 200 {
		return Erasure{}, fmt.Errorf("erase %s %s: a reason and a legal basis are needed: %w", what, r.Target, stemma.ErrInvalid)
	}
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return Erasure{}, fmt.Errorf("erase %s %s: %w", what, r.Target, err)
	}
	defer unlock()
	if done, err := v.erasedBefore(ctx, what, r.Target); err != nil {
		return Erasure{}, err
	} else if done != nil {
		return done.Erasure, v.carryOut(ctx, done)
	}
	in, err := v.plan(ctx, what, r)
	if err != nil {
		return Erasure{}, fmt.Errorf("erase %s %s: %w", what, r.Target, err)
	}
	forbid, err := v.forbids(ctx, in)
	if err != nil {
		return Erasure{}, err
	}
	if len(forbid) > 0 {
		before, err := v.intents(ctx, `state = 0 and kind = ? and target = ?`, what, r.Target)
		if err != nil {
			return Erasure{}, err
		}
		if len(before) > 0 {
			return before[0].Erasure, &HeldError{forbid, before[0].Erasure}
		}
		in.State = waiting
		if err := v.intend(ctx, in); err != nil {
			return Erasure{}, err
		}
		return in.Erasure, &HeldError{forbid, in.Erasure}
	}
	in.State = intended
	if err := v.intend(ctx, in); err != nil {
		return Erasure{}, err
	}
	return in.Erasure, v.carryOut(ctx, in)
}

// erasedBefore gives the erasure of the same thing that was begun already.
func (v *Vault) erasedBefore(ctx context.Context, what, target string) (*intent, error) {
	if what == KindSession {
		var id string
		err := v.db.QueryRowContext(ctx, `select erasure from session where name = ? and erasure <> ''`, v.sessionName(target)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, nil
		}
		if err != nil {
			return nil, indexError(err)
		}
		return v.erasure(ctx, id)
	}
	begun, err := v.intents(ctx, `state >= 1 and kind = ? and target = ?`, what, target)
	if err != nil || len(begun) == 0 {
		return nil, err
	}
	return begun[0], nil
}

// plan finds what an erasure has to destroy.
func (v *Vault) plan(ctx context.Context, what string, r Request) (*intent, error) {
	in := &intent{Erasure: Erasure{
		ID: newID(), Kind: what, Target: r.Target, Reason: r.Reason, Basis: r.Basis, By: r.By, Time: v.now(),
		Sessions: []string{}, Partly: []string{}, Kept: []string{},
	}}
	var err error
	switch what {
	case KindSession:
		name := v.sessionName(r.Target)
		if _, err = v.sessionNamed(ctx, name); err == nil {
			in.Names, in.Sessions = []string{name}, []string{r.Target}
		} else if !errors.As(err, new(*ErasedError)) && errors.Is(err, stemma.ErrNotFound) {
			err = fmt.Errorf("the vault holds nothing of it: %w", stemma.ErrNotFound)
		}
	case KindPerson:
		err = v.planPerson(ctx, in)
	default:
		err = fmt.Errorf("a session or a person, not %q: %w", what, stemma.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return in, v.planFiles(ctx, in)
}

// planPerson finds the sessions of a person: those to erase as a whole, and
// those of which only the person's own words go.
func (v *Vault) planPerson(ctx context.Context, in *intent) error {
	if !isPseudonym(in.Target) {
		return fmt.Errorf("%q is no pseudonym: %w", in.Target, stemma.ErrInvalid)
	}
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var name, session string
		var others int
		if err := r.Scan(&name, &session, &others); err != nil {
			return err
		}
		if others == 0 {
			in.Names, in.Sessions = append(in.Names, name), append(in.Sessions, session)
		} else {
			in.Partly, in.Kept = append(in.Partly, session), append(in.Kept, "vault:"+name+"/")
		}
		return nil
	}, `
		select s.name, s.session, (select count(*) from owner o where o.name = s.name and o.person <> ?1)
		from owner p join session s on s.name = p.name
		where p.person = ?1 and s.erasure = ''
		order by s.session`, in.Target)
	if err != nil {
		return err
	}
	own, err := words(ctx, v.db, `select name || '/' || part from compartment where author = ?`, in.Target)
	if err != nil {
		return err
	}
	for _, p := range own {
		if name, _, _ := strings.Cut(p, "/"); !slices.Contains(in.Names, name) {
			in.Parts = append(in.Parts, p)
		}
	}
	if in.Links, err = words(ctx, v.db, `select link from link where person = ?`, in.Target); err != nil {
		return err
	}
	if _, err := os.Stat(v.keyPath(personFile(in.Target)...)); err != nil && len(in.Links)+len(in.Names)+len(in.Partly) == 0 {
		return fmt.Errorf("person %s: %w", in.Target, stemma.ErrNotFound)
	}
	return nil
}

// planFiles finds the key files to destroy, and counts the objects.
func (v *Vault) planFiles(ctx context.Context, in *intent) error {
	patterns := make([]string, 0, len(in.Names)+len(in.Parts)+2)
	prefixes := make([]string, 0, len(in.Names)+len(in.Parts))
	for _, name := range in.Names {
		patterns = append(patterns, path.Join("sessions", name, "*"))
		prefixes = append(prefixes, name+"/")
	}
	for _, p := range in.Parts {
		name, part, _ := strings.Cut(p, "/")
		patterns = append(patterns, path.Join("sessions", name, part+".*"))
		prefixes = append(prefixes, p+"/")
	}
	if in.Kind == KindPerson {
		patterns = append(patterns, path.Join("sessions", "*", "*."+in.Target+".key"), path.Join("extracts", "*."+in.Target+".key"), path.Join(personFile(in.Target)...))
	}
	for _, l := range in.Links {
		patterns = append(patterns, path.Join("links", l+".key"))
	}
	in.Files = nil
	for _, p := range patterns {
		found, err := matching(v.cfg.Keys, p)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		for _, f := range found {
			rel, err := filepath.Rel(v.cfg.Keys, f)
			if err != nil {
				return fmt.Errorf("list keys: %v", err)
			}
			in.Files = append(in.Files, rel)
		}
	}
	names := slices.Clone(in.Names)
	for _, p := range in.Parts {
		name, _, _ := strings.Cut(p, "/")
		names = append(names, name)
	}
	extracts, err := v.extractKeys(names)
	if err != nil {
		return err
	}
	in.Files = append(in.Files, extracts...)
	slices.Sort(in.Files)
	in.Files = slices.Compact(in.Files)
	in.Keys, in.Objects, in.Gone = len(in.Files), 0, []string{}
	for _, p := range prefixes {
		in.Gone = append(in.Gone, "vault:"+p)
		for _, err := range v.cfg.Objects.List(ctx, p) {
			if err != nil {
				return err
			}
			in.Objects++
		}
	}
	return nil
}

// intend makes the erasure durable before anything is destroyed. From here on
// nobody can use what it names.
func (v *Vault) intend(ctx context.Context, in *intent) error {
	detail, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return v.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			insert or replace into erasure (id, state, kind, target, made, detail)
			values (?, ?, ?, ?, ?, ?)`, in.ID, in.State, in.Kind, in.Target, in.Time, string(detail)); err != nil {
			return err
		}
		if in.State == waiting {
			return nil
		}
		for _, name := range in.Names {
			if _, err := tx.ExecContext(ctx, `update session set erasure = ? where name = ?`, in.ID, name); err != nil {
				return err
			}
		}
		return in.forgetRows(ctx, tx)
	})
}

// forgetRows deletes the rows of what an erasure names. They go with the intent,
// which knows what to destroy: whoever puts content into what stays of a session
// must not make keys anew for a person who is being erased.
func (in *intent) forgetRows(ctx context.Context, tx *sql.Tx) error {
	for _, name := range in.Names {
		for _, table := range []string{"object", "compartment", "owner"} {
			if _, err := tx.ExecContext(ctx, `delete from `+table+` where name = ?`, name); err != nil {
				return err
			}
		}
	}
	for _, p := range in.Parts {
		name, part, _ := strings.Cut(p, "/")
		for _, table := range []string{"object", "compartment"} {
			if _, err := tx.ExecContext(ctx, `delete from `+table+` where name = ? and part = ?`, name, part); err != nil {
				return err
			}
		}
	}
	if in.Kind == KindPerson {
		for _, table := range []string{"owner", "link"} {
			if _, err := tx.ExecContext(ctx, `delete from `+table+` where person = ?`, in.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

// carryOut brings an erasure to its end from wherever it stopped.
func (v *Vault) carryOut(ctx context.Context, in *intent) error {
	if in.State == intended {
		if err := v.destroy(ctx, in); err != nil {
			return fmt.Errorf("erase %s %s: %w", in.Kind, in.Target, err)
		}
	}
	if in.State == destroyed && v.cfg.Tombstone != nil {
		if err := v.cfg.Tombstone(ctx, in.Erasure); err != nil {
			return fmt.Errorf("erase %s %s: all of it is gone, but the tombstone is not appended: %w", in.Kind, in.Target, err)
		}
		return v.advance(ctx, in, told)
	}
	return nil
}

// destroy destroys the keys first, then everything that they opened.
func (v *Vault) destroy(ctx context.Context, in *intent) error {
	for _, f := range in.Files {
		if err := shred(v.keyPath(f)); err != nil {
			return err
		}
	}
	v.mu.Lock()
	clear(v.secrets)
	clear(v.persons)
	v.mu.Unlock()
	if err := v.sweepKeys(); err != nil {
		return err
	}
	for _, name := range in.Names {
		rest, err := matching(v.keyPath("sessions", name), "*")
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		for _, f := range rest {
			if err := shred(f); err != nil {
				return err
			}
		}
		if err := os.Remove(v.keyPath("sessions", name)); err != nil && !os.IsNotExist(err) {
			return kind(err)
		}
		if err := v.cfg.Objects.Delete(ctx, name+"/"); err != nil {
			return err
		}
	}
	for _, p := range in.Parts {
		if err := v.cfg.Objects.Delete(ctx, p+"/"); err != nil {
			return err
		}
	}
	if err := v.sweepExtracts(); err != nil {
		return err
	}
	in.KeyFiles = in.Files
	for _, place := range v.cfg.Places {
		if err := place.Erase(ctx, in.Erasure); err != nil {
			return fmt.Errorf("%s: %w", place.Name(), err)
		}
	}
	return v.advance(ctx, in, destroyed)
}

// sweepKeys destroys the copies of keys that writers left which were killed. The
// vault is locked alone: nobody is writing one now.
func (v *Vault) sweepKeys() error {
	for _, folder := range []string{"persons", "links", "extracts", "sessions/*"} {
		left, err := matching(v.cfg.Keys, folder+"/.key-*")
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		for _, f := range left {
			if err := shred(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// advance puts an erasure into its next state, and leaves nothing of its rows.
func (v *Vault) advance(ctx context.Context, in *intent, state int) error {
	in.State = state
	if state == told {
		in.Files, in.Links, in.KeyFiles = nil, nil, nil
	}
	detail, err := json.Marshal(in)
	if err != nil {
		return err
	}
	err = v.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update erasure set state = ?, detail = ? where id = ?`, state, string(detail), in.ID)
		return err
	})
	if err != nil {
		return err
	}
	return v.forget(ctx)
}

// Resume carries erasures to their end that were stopped, or whose last hold is
// released, and gives those that it finished. Erasures that wait for a hold keep
// waiting.
func (v *Vault) Resume(ctx context.Context) ([]Erasure, error) {
	if open, err := v.intents(ctx, `state in (0, 1, 2)`); err != nil || len(open) == 0 {
		return nil, err
	}
	unlock, err := v.lock(ctx, vaultLock, true)
	if err != nil {
		return nil, fmt.Errorf("resume erasures: %w", err)
	}
	defer unlock()
	open, err := v.intents(ctx, `state in (1, 2)`)
	if err != nil {
		return nil, err
	}
	var done []Erasure
	for _, in := range open {
		if err := v.carryOut(ctx, in); err != nil {
			return done, err
		}
		if in.State == told {
			done = append(done, in.Erasure)
		}
	}
	more, err := v.carryOutWaiting(ctx)
	return append(done, more...), err
}

// Erasures gives all erasures, the oldest first, with what is left to do of
// each: "" is nothing.
func (v *Vault) Erasures(ctx context.Context) ([]Erasure, []string, error) {
	all, err := v.intents(ctx, `true`)
	if err != nil {
		return nil, nil, err
	}
	list, left := make([]Erasure, len(all)), make([]string, len(all))
	for i, in := range all {
		list[i] = in.Erasure
		left[i] = [...]string{waiting: "waits for a legal hold", intended: "to be destroyed", destroyed: "to be told", told: ""}[in.State]
	}
	return list, left, nil
}

// intents reads erasures.
func (v *Vault) intents(ctx context.Context, where string, args ...any) ([]*intent, error) {
	var list []*intent
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var detail string
		in := &intent{}
		if err := r.Scan(&in.State, &detail); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(detail), in); err != nil {
			return fmt.Errorf("erasure: %v: %w", err, stemma.ErrInvalid)
		}
		if in.State < waiting || in.State > told {
			return fmt.Errorf("erasure %s: state %d: %w", in.ID, in.State, stemma.ErrInvalid)
		}
		list = append(list, in)
		return nil
	}, `select state, detail from erasure where `+where+` order by made, id`, args...)
	return list, err
}

// erasure reads one.
func (v *Vault) erasure(ctx context.Context, id string) (*intent, error) {
	in := &intent{}
	var detail string
	if err := v.db.QueryRowContext(ctx, `select state, detail from erasure where id = ?`, id).Scan(&in.State, &detail); err != nil {
		return nil, fmt.Errorf("erasure %s: %w", id, indexError(err))
	}
	if err := json.Unmarshal([]byte(detail), in); err != nil {
		return nil, fmt.Errorf("erasure %s: %v: %w", id, err, stemma.ErrInvalid)
	}
	return in, nil
}

// erasureOf gives the erasure that took a compartment of a session that stays.
func (v *Vault) erasureOf(ctx context.Context, name, part string) (*Erasure, error) {
	begun, err := v.intents(ctx, `state >= 1 and kind <> ?`, KindSession)
	if err != nil {
		return nil, err
	}
	for _, in := range begun {
		if slices.Contains(in.Parts, name+"/"+part) {
			return &in.Erasure, nil
		}
	}
	return nil, nil
}

// erasureOfPerson gives the erasure of a person.
func (v *Vault) erasureOfPerson(ctx context.Context, person string) (*Erasure, error) {
	begun, err := v.intents(ctx, `state >= 1 and kind = ? and target = ?`, KindPerson, person)
	if err != nil || len(begun) == 0 {
		return nil, err
	}
	return &begun[0].Erasure, nil
}

// Erased gives the erasure of a session, or nil. It holds from the moment the
// erasure is begun.
func (v *Vault) Erased(ctx context.Context, session string) (*Erasure, error) {
	_, err := v.sessionNamed(ctx, v.sessionName(session))
	var e *ErasedError
	switch {
	case errors.As(err, &e):
		return &e.Erasure, nil
	case err == nil || errors.Is(err, stemma.ErrNotFound):
		return nil, nil
	}
	return nil, err
}

func asError(e *Erasure) error {
	if e == nil {
		return nil
	}
	return &ErasedError{*e}
}
