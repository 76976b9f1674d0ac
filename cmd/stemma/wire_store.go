package main

import (
	"cmp"
	"context"
	"crypto/hmac"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/git"
	"github.com/stemma-dev/stemma/internal/store"
	"github.com/stemma-dev/stemma/internal/store/postgres"
	"github.com/stemma-dev/stemma/internal/store/sqlite"
)

// The environment of a shared store.
const (
	storeEnv    = "STEMMA_STORE"    // its address, where --store is not given
	observerEnv = "STEMMA_OBSERVER" // what this clone is called there, where its path and machine change
)

// shared is what there is to know of a store that several machines work on. Its
// zero value is none: the index is below the repository.
type shared struct {
	address      string // with the password, so that it is never printed
	organisation string
	name         string // the address as it may be printed
	keeper       string // the other clone that keeps the index of this repository; "" is none
	takeOver     bool   // become the keeper
}

// newShared reads the address of a store, which may name the organisation in a
// parameter; "" is that of the environment, and none where that says nothing.
func newShared(address string) (shared, error) {
	address = cmp.Or(address, os.Getenv(storeEnv))
	if address == "" {
		return shared{}, nil
	}
	s := shared{address: address, organisation: organisation, name: "postgres"}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		// What was given may hold a password: it is not repeated.
		return s, hinted{
			fmt.Errorf("address of the store: want postgres://user@host:port/database: %w", stemma.ErrInvalid),
			"--store, or " + storeEnv + "; any of :/?#[]@% in a password is written as % and two hex digits, or give it in PGPASSWORD",
		}
	}
	q := u.Query()
	if name := q.Get("organisation"); name != "" {
		s.organisation = name
	}
	q.Del("organisation")
	u.RawQuery = q.Encode()
	s.address = u.String()
	u.User, u.RawQuery = nil, ""
	if host := q.Get("host"); host != "" && u.Host == "" {
		u.RawQuery = url.Values{"host": {host}}.Encode()
	}
	s.name = u.String()
	return s, nil
}

// observer is what the observations of this clone are made by: the clone's
// path, and in a shared store its machine too.
func (s shared) observer(path string) string {
	if s.address == "" {
		return path
	}
	if name := os.Getenv(observerEnv); name != "" {
		return "named " + name
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return host + " " + path
}

// openStore opens the store at its address, or the one in dir.
func openStore(ctx context.Context, dir string, s shared) (store.Store, error) {
	if s.address == "" {
		db, err := sqlite.Open(ctx, dir, organisation)
		if err != nil {
			return nil, err // and not a store that is nil
		}
		return db, nil
	}
	db, err := postgres.Open(ctx, s.address, s.organisation)
	if err != nil {
		return nil, hinted{err, ""} // the error says what to do next, and it is nothing with folders
	}
	return db, nil
}

// openBenchStore opens a store by itself, without a repository, for measurements.
func openBenchStore(ctx context.Context, where string) (store.Store, error) {
	if !strings.Contains(where, "://") {
		return sqlite.Open(ctx, where, organisation)
	}
	s, err := newShared(where)
	if err != nil {
		return nil, err
	}
	return openStore(ctx, "", s)
}

// place is where the index is, for people.
func (b *bench) place() string {
	if b.shared.address != "" {
		return b.shared.name
	}
	return b.dir
}

// keptElsewhere reports whether another clone keeps the index of this
// repository, so that this one asks it as it is.
func (b *bench) keptElsewhere() bool { return b.shared.keeper != "" && !b.shared.takeOver }

// findKeeper finds out, where this clone has no index in a shared store, whether
// another clone has one of the same repository. Two clones have other refs each:
// if both kept the index, each would take out what the other put in.
func (b *bench) findKeeper(ctx context.Context, marks map[string]string) error {
	b.shared.keeper = ""
	if b.shared.address == "" || b.clone.Repository != "" {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		observer, ok := strings.CutPrefix(name, "clone/")
		var other clone
		if !ok || json.Unmarshal([]byte(marks[name]), &other) != nil {
			continue
		}
		root, ok := strings.CutPrefix(other.Repository, "git#")
		if !ok {
			continue
		}
		same, err := b.beginsWith(ctx, root)
		if err != nil {
			return fmt.Errorf("find the first commit: %w", err)
		}
		if same {
			b.shared.keeper = observer
			b.clone = clone{Repository: other.Repository, Branch: other.Branch}
			return nil
		}
	}
	return nil
}

// beginsWith reports whether a commit is the first of this repository: that at
// the end of the first parents, as the key of a repository has it.
func (b *bench) beginsWith(ctx context.Context, root string) (bool, error) {
	if typ, _, err := b.repo.Stat(ctx, root); err != nil || typ != "commit" {
		return false, nil // it is not here, or nothing that git knows by this name
	}
	head, err := b.repo.Head(ctx)
	if err != nil || head.Commit == "" {
		return false, err
	}
	last := ""
	for c, err := range b.repo.History(ctx, git.HistoryQuery{Tips: []string{head.Commit}, FirstParent: true, NoMessages: true}) {
		if err != nil {
			return false, err
		}
		last = c.ID
	}
	return last == root, nil
}

// personsMark tells the key of pseudonyms apart, without telling it.
const personsMark = "persons"

// share takes the repository's lock of a shared store, and sees to it that this
// clone may change its index. Without a shared store there is nothing to do.
func (b *bench) share(ctx context.Context, waiting func()) (release func(), err error) {
	if b.shared.address == "" {
		return func() {}, nil
	}
	release = func() {}
	if locker, ok := b.store.(store.Locker); ok {
		// Before the first run nothing is known of the repository but that it is new.
		if release, err = locker.Lock(ctx, "index/"+b.clone.Repository, waiting); err != nil {
			return nil, err
		}
	}
	// Another clone may have been first, while we waited.
	if err = b.readClone(ctx); err == nil && b.keptElsewhere() {
		err = hinted{
			fmt.Errorf("%s: another clone (%s) keeps the index of this repository: %w", b.place(), b.shared.keeper, stemma.ErrConflict),
			"ask it as it is, or run stemma index --take-over to keep it from here on",
		}
	}
	if err == nil {
		err = b.claim(ctx)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// claim makes this clone the keeper, as far as the marks tell, under the lock.
func (b *bench) claim(ctx context.Context) error {
	marks, err := b.store.Marks(ctx)
	if err != nil {
		return err
	}
	set := make(map[string]string)
	mine := b.person(personsMark)
	switch theirs := marks[personsMark]; {
	case theirs == "":
		set[personsMark] = mine
	case !hmac.Equal([]byte(theirs), []byte(mine)):
		return hinted{
			fmt.Errorf("%s: it was indexed with another key of pseudonyms, so that one person would be two: %w", b.place(), stemma.ErrConflict),
			"copy person.key from the machine that indexed first to " + b.keyDir,
		}
	}
	if b.shared.takeOver && b.shared.keeper != "" {
		set["clone/"+b.shared.keeper] = ""
		b.shared.keeper, b.clone = "", clone{}
	}
	if len(set) == 0 {
		return nil
	}
	return b.store.Put(ctx, store.Batch{Marks: set})
}

// dropBatch is how many scopes are removed at once.
const dropBatch = 2000

// drop removes what was derived for this repository. A store that holds no
// other is emptied.
func (b *bench) drop(ctx context.Context) error {
	if b.shared.address == "" {
		return b.store.DropGraph(ctx)
	}
	if b.clone.Repository == "" {
		return nil
	}
	var gone []store.Scope
	repository := stemma.NodeID{Kind: stemma.KindRepository, Key: b.clone.Repository}
	for e, err := range b.store.Edges(ctx, store.EdgeQuery{To: []stemma.NodeID{repository}, Kinds: []stemma.EdgeKind{stemma.EdgeIn}}) {
		if err != nil {
			return err
		}
		gone = append(gone, store.Scope{ID: e.Scope, Gone: true})
	}
	for id, err := range b.store.Nodes(ctx, stemma.KindChange, stemma.ChangeID(b.clone.Repository, "").Key) {
		if err != nil {
			return err
		}
		gone = append(gone, store.Scope{ID: id, Gone: true})
	}
	// The marks first: a run that is stopped here must not pass for done.
	marks, err := b.store.Marks(ctx)
	if err != nil {
		return err
	}
	forget := make(map[string]string)
	for name := range marks {
		if strings.HasSuffix(name, "/"+b.clone.Repository) || name == b.cloneMark() {
			forget[name] = ""
		}
	}
	if err := b.store.Put(ctx, store.Batch{Marks: forget}); err != nil {
		return err
	}
	for chunk := range slices.Chunk(gone, dropBatch) {
		if err := b.store.Put(ctx, store.Batch{Scopes: chunk}); err != nil {
			return err
		}
	}
	return nil
}
