package vault

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
)

// Pseudonym gives the pseudonym of the person that an identity belongs to, such
// as "mailto:ada@example.org", and makes the person where the identity is new.
// It is a keyed hash under a key that is drawn for the person and kept nowhere,
// 32 hexadecimal digits: only the link that the vault keeps leads from one to
// the other, and erasing the person destroys it. An identity that comes back
// after that is a new person.
func (v *Vault) Pseudonym(ctx context.Context, identity string) (string, error) {
	if identity == "" || len(identity) > 1024 {
		return "", fmt.Errorf("pseudonym: an identity has 1 to 1024 bytes: %w", stemma.ErrInvalid)
	}
	person, err := v.linked(identity)
	if !errors.Is(err, stemma.ErrNotFound) {
		return person, err
	}
	unlock, err := v.lockToMake(ctx)
	if err != nil {
		return "", fmt.Errorf("pseudonym: %w", err)
	}
	defer unlock()
	if person, err = v.linked(identity); !errors.Is(err, stemma.ErrNotFound) {
		return person, err
	}
	salt := make([]byte, 32)
	rand.Read(salt) // never fails
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(identity))
	person = hex.EncodeToString(mac.Sum(nil)[:16])
	if err := v.makePerson(person); err != nil {
		return "", fmt.Errorf("pseudonym: %w", err)
	}
	return person, v.link(ctx, person, identity)
}

// Person gives the pseudonym of a person that the vault knows, by the pseudonym
// itself or by an identity. It is ErrNotFound where there is none, and makes none.
func (v *Vault) Person(ctx context.Context, word string) (string, error) {
	if isPseudonym(word) {
		if _, err := v.person(word); err == nil || !errors.Is(err, stemma.ErrNotFound) {
			return word, err
		}
		if e, err := v.erasureOfPerson(ctx, word); err != nil || e != nil {
			return word, err
		}
	}
	person, err := v.linked(word)
	if errors.Is(err, stemma.ErrNotFound) {
		return "", fmt.Errorf("the vault knows no person %q: %w", word, stemma.ErrNotFound)
	}
	return person, err
}

// Join says that an identity is of the person who has a pseudonym already, so
// that [Vault.Pseudonym] gives it for both. It is ErrConflict where the identity
// is another person's, and ErrNotFound where there is no such person.
func (v *Vault) Join(ctx context.Context, person, identity string) error {
	unlock, err := v.lockToMake(ctx)
	if err != nil {
		return fmt.Errorf("join identity: %w", err)
	}
	defer unlock()
	if _, err := v.person(person); err != nil {
		return fmt.Errorf("join identity: %w", err)
	}
	switch other, err := v.linked(identity); {
	case err == nil && other == person:
		return nil
	case err == nil:
		return fmt.Errorf("join identity: it is %s's: %w", other, stemma.ErrConflict)
	case !errors.Is(err, stemma.ErrNotFound):
		return err
	}
	return v.link(ctx, person, identity)
}

// lockToMake takes the locks under which keys are made.
func (v *Vault) lockToMake(ctx context.Context) (func(), error) {
	shared, err := v.lock(ctx, vaultLock, false)
	if err != nil {
		return nil, err
	}
	alone, err := v.lock(ctx, keyLock, true)
	if err != nil {
		shared()
		return nil, err
	}
	return func() { alone(); shared() }, nil
}

// linkName is the name of the file that leads from an identity to a person.
func (v *Vault) linkName(identity string) string { return keyed(v.names, 16, "link", identity) }

// linked follows an identity to its person, or gives ErrNotFound.
func (v *Vault) linked(identity string) (string, error) {
	name := v.linkName(identity)
	return v.readKey(v.master, []string{"link", name}, "links", name+".key")
}

// link makes an identity lead to a person. The row comes first: a file without
// one would be missed by an erasure.
func (v *Vault) link(ctx context.Context, person, identity string) error {
	name := v.linkName(identity)
	file, err := sealKey(v.master.Recipient(), []string{"link", name}, person)
	if err != nil {
		return err
	}
	err = v.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into link (person, link) values (?, ?) on conflict do nothing`, person, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("link %s: %w", person, err)
	}
	if err := writeKey(v.keyPath("links", name+".key"), file); err != nil {
		return fmt.Errorf("link %s: %w", person, kind(err))
	}
	return nil
}

// isPseudonym reports whether a word can be one.
func isPseudonym(s string) bool {
	if len(s) < 8 || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func personFile(person string) []string { return []string{"persons", person + ".key"} }

// makePerson makes the key of a person. The key lock is held.
func (v *Vault) makePerson(person string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	file, err := sealKey(v.master.Recipient(), []string{"person", person}, id.String())
	if err != nil {
		return err
	}
	if err := writeKey(v.keyPath(personFile(person)...), file); err != nil {
		return kind(err)
	}
	return nil
}

// person gives the key of a person, or ErrNotFound.
func (v *Vault) person(person string) (*age.X25519Identity, error) {
	if !isPseudonym(person) {
		return nil, fmt.Errorf("%q is no pseudonym: %w", person, stemma.ErrInvalid)
	}
	v.mu.Lock()
	id := v.persons[person]
	v.mu.Unlock()
	if id != nil {
		return id, nil
	}
	text, err := v.readKey(v.master, []string{"person", person}, personFile(person)...)
	if err != nil {
		return nil, err
	}
	if id, err = age.ParseX25519Identity(text); err != nil {
		return nil, fmt.Errorf("key of person %s: %w", person, stemma.ErrInvalid)
	}
	v.mu.Lock()
	v.persons[person] = id
	v.mu.Unlock()
	return id, nil
}

// orMadePerson gives the key of a person, and makes it for a pseudonym that was
// made elsewhere. The key lock is held.
func (v *Vault) orMadePerson(person string) (*age.X25519Identity, error) {
	id, err := v.person(person)
	if errors.Is(err, stemma.ErrNotFound) {
		if err := v.makePerson(person); err != nil {
			return nil, err
		}
		return v.person(person)
	}
	return id, err
}
