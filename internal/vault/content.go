package vault

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stemma-dev/stemma"
)

// maxSession bounds the key of a session, bytes.
const maxSession = 4608

// MaxContent bounds one piece of content, bytes.
const MaxContent = 256 << 20

// Content is what is put into the vault. It is redacted already.
type Content struct {
	// Session is the key of the session's node, such as "claude-code/0198...".
	Session string
	// Owners are the pseudonyms of the people whose session it is; one at least.
	// They are added to those that the session has.
	Owners []string
	// Author is the pseudonym of the person who wrote this, and an owner by that;
	// empty where the agent or a tool did.
	Author string
	// Class says how long it is kept.
	Class Class
	// Media is the media type, such as "application/jsonl".
	Media string
	// Rules names the redaction rules that were applied; see redact.Redactor.
	Rules string
	// Bytes is the content itself.
	Bytes []byte
}

// Reference is what a statement holds of content: where it lies, and what it is
// committed to. Neither says anything of the content, also not to somebody who
// guesses at it: both are made with keys that are erased with the content.
type Reference struct {
	// URI is "vault:" and the name of the object.
	URI string `json:"uri"`
	// Commitment is "sha256:" and the hexadecimal SHA-256 of salt and content; see
	// [Commit]. It is the same for the same content of a compartment.
	Commitment string `json:"commitment"`
}

// Opened is content that was read from the vault and found to be what was put in.
type Opened struct {
	Reference
	Session string
	Author  string
	Class   Class
	Media   string
	Rules   string
	Made    time.Time
	Salt    []byte // opens the commitment to somebody who is given the content
	Bytes   []byte
}

// Commit is the commitment to content under a salt of 16 bytes.
func Commit(salt, content []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(content)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Put stores content, durably, and gives its reference. The same content of the
// same session, author and class has one reference, however often and by whomever
// it is put. It is an [*ErasedError] where the session or one of the people is
// erased, and ErrInvalid where the content is more than [MaxContent].
func (v *Vault) Put(ctx context.Context, c Content) (Reference, error) {
	refs, err := v.PutAll(ctx, []Content{c})
	if err != nil {
		return Reference{}, err
	}
	return refs[0], nil
}

// PutAll stores several pieces of content, as [Vault.Put] does one, and gives
// their references in the same order. It is quicker than one after the other. On
// an error none is referenced.
func (v *Vault) PutAll(ctx context.Context, contents []Content) ([]Reference, error) {
	contents = slices.Clone(contents)
	for i := range contents {
		if err := contents[i].check(); err != nil {
			return nil, fmt.Errorf("put content of session %s: %w", contents[i].Session, err)
		}
	}
	unlock, err := v.lock(ctx, vaultLock, false)
	if err != nil {
		return nil, fmt.Errorf("put content: %w", err)
	}
	defer unlock()
	release, err := v.lockSessions(ctx, contents)
	if err != nil {
		return nil, fmt.Errorf("put content: %w", err)
	}
	defer release()
	made, err := v.putObjects(ctx, contents)
	if err == nil {
		err = v.list(ctx, made)
	}
	if err != nil {
		return nil, fmt.Errorf("put content: %w", err)
	}
	refs := make([]Reference, len(contents))
	for i, o := range made {
		refs[i] = o.reference()
	}
	return refs, nil
}

// lockSessions keeps other writers from the sessions of these contents. Of two that
// put the same content at once, each would write the object with a time of its
// own, and the row of one would not be that of the other's object.
func (v *Vault) lockSessions(ctx context.Context, contents []Content) (func(), error) {
	var names []string
	for _, c := range contents {
		names = append(names, "put-"+v.sessionName(c.Session)[:1]+".lock")
	}
	slices.Sort(names) // everybody takes them in one order
	var held []func()
	release := func() {
		for _, unlock := range held {
			unlock()
		}
	}
	for _, name := range slices.Compact(names) {
		unlock, err := v.lock(ctx, name, true)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, unlock)
	}
	return release, nil
}

// writersAtOnce is how many objects of a batch are on their way to the disk at a
// time: it is the disk that they wait for.
const writersAtOnce = 8

// putObjects makes the objects of several pieces of content.
func (v *Vault) putObjects(ctx context.Context, contents []Content) ([]object, error) {
	made, errs := make([]object, len(contents)), make([]error, len(contents))
	turns, now := make(chan struct{}, writersAtOnce), v.now()
	var all sync.WaitGroup
	for i, c := range contents {
		s, err := v.compartment(ctx, c)
		if err != nil {
			errs[i] = fmt.Errorf("session %s: %w", c.Session, err)
			break
		}
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if made[i], errs[i] = v.put(ctx, s, c, now); errs[i] != nil {
				errs[i] = fmt.Errorf("session %s: %w", c.Session, errs[i])
			}
		})
	}
	all.Wait()
	return made, errors.Join(errs...)
}

// check refuses what can not be stored, and makes the author an owner.
func (c *Content) check() error {
	switch {
	case c.Session == "" || len(c.Session) > maxSession || !utf8.ValidString(c.Session):
		// Agents choose their ids, and one with a line feed in it is a session all the same.
		return fmt.Errorf("the key of a session has 1 to %d bytes of UTF-8: %w", maxSession, stemma.ErrInvalid)
	case len(c.Bytes) > MaxContent:
		return fmt.Errorf("%d bytes, more than %d: %w", len(c.Bytes), MaxContent, stemma.ErrInvalid)
	case !slices.Contains(Classes, c.Class):
		return fmt.Errorf("there is no class %q: %w", c.Class, stemma.ErrInvalid)
	case len(c.Media) > 256 || len(c.Rules) > 1024:
		return fmt.Errorf("media type or names of rules are too long: %w", stemma.ErrInvalid)
	}
	c.Owners = slices.Clone(c.Owners)
	if c.Author != "" {
		c.Owners = append(c.Owners, c.Author)
	}
	slices.Sort(c.Owners)
	c.Owners = slices.Compact(c.Owners)
	if len(c.Owners) == 0 {
		return fmt.Errorf("a session has an owner: %w", stemma.ErrInvalid)
	}
	for _, p := range c.Owners {
		if !isPseudonym(p) {
			return fmt.Errorf("%q is no pseudonym: %w", p, stemma.ErrInvalid)
		}
	}
	return nil
}

// object is a row of the index, and the head of an object.
type object struct {
	Session    string `json:"session"` // name of its folder
	Part       string `json:"part"`
	ID         string `json:"id"`
	Author     string `json:"author,omitempty"`
	Class      Class  `json:"class"`
	Media      string `json:"media,omitempty"`
	Rules      string `json:"rules,omitempty"`
	Made       int64  `json:"made"`
	Size       int64  `json:"size"`
	commitment string
}

func (o object) name() string { return o.Session + "/" + o.Part + "/" + o.ID }

func (o object) reference() Reference {
	return Reference{URI: "vault:" + o.name(), Commitment: o.commitment}
}

// put makes the object of a piece of content, unless there is one. It is not in
// the index yet.
func (v *Vault) put(ctx context.Context, s *secret, c Content, now int64) (object, error) {
	o := object{
		Session: s.session, Part: s.part, ID: s.objectID(c.Bytes), Author: c.Author, Class: c.Class,
		Media: c.Media, Rules: c.Rules, Made: now, Size: int64(len(c.Bytes)),
	}
	o.commitment = Commit(s.salt(o.ID), c.Bytes)
	var known int
	err := v.db.QueryRowContext(ctx, `select 1 from object where name = ? and part = ? and id = ?`, o.Session, o.Part, o.ID).Scan(&known)
	if err == nil {
		return o, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return object{}, indexError(err)
	}
	sealed, err := v.seal(s, o, c.Bytes)
	if err != nil {
		return object{}, err
	}
	return o, v.cfg.Objects.Put(ctx, o.name(), sealed)
}

// list enters objects into the index.
func (v *Vault) list(ctx context.Context, made []object) error {
	return v.transact(ctx, func(tx *sql.Tx) error {
		for _, o := range made {
			if _, err := tx.ExecContext(ctx, `
				insert into object (name, part, id, size, made, commitment)
				values (?, ?, ?, ?, ?, ?)
				on conflict do nothing`,
				o.Session, o.Part, o.ID, o.Size, o.Made, o.commitment); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `update compartment set last = ?, mark = ? where name = ? and part = ? and last < ?`,
				o.Made, v.lastMark(o.Session, o.Part, o.Made), o.Session, o.Part, o.Made); err != nil {
				return err
			}
		}
		return nil
	})
}

// Open reads content. It is an [*ErasedError], which is ErrNotFound, where it is
// erased, ErrNotFound where there never was any, and ErrInvalid where the object
// or its key is damaged: what comes back is what was put in.
func (v *Vault) Open(ctx context.Context, uri string) (Opened, error) {
	name, part, id, err := splitURI(uri)
	if err != nil {
		return Opened{}, fmt.Errorf("open %s: %w", uri, err)
	}
	o, err := v.open(ctx, name, part, id)
	if err != nil {
		return Opened{}, fmt.Errorf("open %s: %w", uri, err)
	}
	return o, nil
}

func (v *Vault) open(ctx context.Context, name, part, id string) (Opened, error) {
	session, err := v.sessionNamed(ctx, name)
	if err != nil {
		return Opened{}, err
	}
	s, err := v.secret(ctx, name, part)
	if err == nil {
		var sealed []byte
		if sealed, err = v.cfg.Objects.Get(ctx, name+"/"+part+"/"+id, maxSealed); err == nil {
			var o object
			var content []byte
			if o, content, err = v.unseal(s, id, sealed); err != nil {
				return Opened{}, err
			}
			return Opened{
				Reference: o.reference(), Session: session, Author: o.Author, Class: o.Class, Media: o.Media, Rules: o.Rules,
				Made: time.Unix(o.Made, 0).UTC(), Salt: s.salt(id), Bytes: content,
			}, nil
		}
	}
	if errors.Is(err, stemma.ErrNotFound) {
		// Part of a session can be erased while the rest of it stays.
		if e, eerr := v.erasureOf(ctx, name, part); eerr != nil || e != nil {
			return Opened{}, errors.Join(eerr, asError(e))
		}
	}
	return Opened{}, err
}

// Verify opens content and compares its commitment with the one that a statement
// holds. A commitment to something else is ErrConflict; otherwise as [Vault.Open].
func (v *Vault) Verify(ctx context.Context, ref Reference) error {
	o, err := v.Open(ctx, ref.URI)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(o.Commitment), []byte(ref.Commitment)) != 1 {
		return fmt.Errorf("verify %s: the content is committed to by %s, not by %s: %w", ref.URI, o.Commitment, ref.Commitment, stemma.ErrConflict)
	}
	return nil
}

// splitURI takes a reference's URI apart.
func splitURI(uri string) (name, part, id string, err error) {
	words, ok := strings.CutPrefix(uri, "vault:")
	list := strings.Split(words, "/")
	if !ok || len(list) != 3 || len(list[0]) != 32 || len(list[1]) != 16 || len(list[2]) != 32 {
		return "", "", "", fmt.Errorf("no reference of a vault: %w", stemma.ErrInvalid)
	}
	for _, w := range list {
		if _, err := hex.DecodeString(w); err != nil || strings.ToLower(w) != w {
			return "", "", "", fmt.Errorf("no reference of a vault: %w", stemma.ErrInvalid)
		}
	}
	return list[0], list[1], list[2], nil
}
