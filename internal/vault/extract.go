package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
)

// Extract is what was made from the content of several sessions so that one
// person can read it at once, such as the text of prompts to search. It holds
// nothing that could not be made again, and goes with what it was made from.
type Extract struct {
	// ID names it within the vault.
	ID string
	// Bytes is what was put in.
	Bytes []byte
}

// An extract is a file of three parts: a line of words, a line for each session
// that it was made from (the name of its folder), and after an empty line an age
// file of a zstd frame. Its key is a file of its own, sealed to the person, and
// for these sessions: whoever changes the lines makes the key of another thing.
const (
	extractWords = "stemma vault extract v1"
	maxExtracted = 4096 // sessions of one extract
)

// extractFile is an extract as it lies on the disk.
type extractFile struct {
	id, group, person string
	names             []string // of the sessions' folders, sorted
	sealed            []byte
}

func (f extractFile) keyName() []string { return []string{"extracts", f.id + "." + f.person + ".key"} }

func (f extractFile) purpose() []string {
	sum := sha256.Sum256([]byte(strings.Join(f.names, "\n")))
	return []string{"extract", f.id, f.group, f.person, hex.EncodeToString(sum[:])}
}

func (v *Vault) extractPath(name ...string) string {
	return filepath.Join(append([]string{v.cfg.Dir, "extracts"}, name...)...)
}

// groupName names the extracts of a person that belong together: a keyed hash.
func (v *Vault) groupName(person, group string) string {
	return keyed(v.names, 16, "extracts", person, group)
}

// PutExtract keeps what was made from content, for one person, under a key of its
// own; group says which extracts are read together. From are the references of
// that content. An erasure of any of the sessions or of the person, or the end
// of the content's term, destroys the key, and the extract is gone with it in
// every copy.
//
// It is ErrNotFound where some of the content is not there any more, ErrDenied
// where a session is not the person's, and ErrInvalid where it was made from more
// than 4096 sessions, or from none.
func (v *Vault) PutExtract(ctx context.Context, person, group string, from []string, content []byte) (string, error) {
	f := extractFile{id: newID(), group: v.groupName(person, group), person: person}
	err := v.putExtract(ctx, &f, from, content)
	if err != nil {
		return "", fmt.Errorf("put extract: %w", err)
	}
	return f.id, nil
}

func (v *Vault) putExtract(ctx context.Context, f *extractFile, from []string, content []byte) error {
	if len(from) == 0 || len(content) > MaxContent {
		return fmt.Errorf("of %d pieces of content, %d bytes: %w", len(from), len(content), stemma.ErrInvalid)
	}
	// An erasure excludes this: what is checked here is there when the key is.
	unlock, err := v.lock(ctx, vaultLock, false)
	if err != nil {
		return err
	}
	defer unlock()
	if f.names, err = v.sourcesOf(ctx, f.person, from); err != nil {
		return err
	}
	id, err := v.person(f.person)
	if err != nil {
		return err
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	file, err := sealKey(id.Recipient(), f.purpose(), key.String())
	if err != nil {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, key.Recipient())
	if err != nil {
		return err
	}
	if _, err := w.Write(v.packer.EncodeAll(content, nil)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	f.sealed = sealed.Bytes()
	// The key comes first. A key without its extract opens nothing, and every
	// erasure destroys it; an extract without its key is no extract.
	if err := writeKey(v.keyPath(f.keyName()...), file); err != nil {
		return kind(err)
	}
	if err := v.writeExtract(*f); err != nil {
		return errors.Join(err, shred(v.keyPath(f.keyName()...)))
	}
	return nil
}

// sourcesOf gives the names of the sessions that references are of, each once,
// after a look at whether all of it is there and the person's.
func (v *Vault) sourcesOf(ctx context.Context, person string, from []string) ([]string, error) {
	readable, err := v.Readable(ctx, person)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, uri := range from {
		name, _, _, err := splitURI(uri)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", uri, err)
		}
		switch own, there := readable[uri]; {
		case !there:
			return nil, fmt.Errorf("%s: %w", uri, stemma.ErrNotFound)
		case !own:
			return nil, fmt.Errorf("%s is not this person's: %w", uri, stemma.ErrDenied)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxExtracted {
		return nil, fmt.Errorf("of %d sessions, more than %d: %w", len(names), maxExtracted, stemma.ErrInvalid)
	}
	return names, nil
}

// writeExtract makes the file of an extract, whole and durable.
func (v *Vault) writeExtract(f extractFile) error {
	dir := v.extractPath(f.group)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return kind(err)
	}
	tmp, err := os.CreateTemp(dir, ".extract-*") // of mode 0600
	if err != nil {
		return kind(err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(f.encode())
	if serr := tmp.Sync(); err == nil {
		err = serr
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), v.extractPath(f.group, f.id))
	}
	if err != nil {
		return kind(err)
	}
	return syncDir(dir)
}

// readExtract reads the file of an extract. It is ErrInvalid where it is damaged.
func (v *Vault) readExtract(group, id string) (extractFile, error) {
	f := extractFile{id: id, group: group}
	r, err := os.Open(v.extractPath(group, id))
	if err != nil {
		return f, kind(err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxSealed+maxExtracted*33+1024))
	if err != nil {
		return f, kind(err)
	}
	return f, f.decode(text)
}

// decode reads the file of an extract, up to what is encrypted.
func (f *extractFile) decode(text []byte) error {
	head, sealed, ok := bytes.Cut(text, []byte("\n\n"))
	first, rest, _ := strings.Cut(string(head), "\n")
	person, known := strings.CutPrefix(first, extractWords+" ")
	if !ok || !known || !isPseudonym(person) || len(head) > maxExtracted*33+1024 {
		return fmt.Errorf("no extract of a vault: %w", stemma.ErrInvalid)
	}
	f.person, f.names, f.sealed = person, strings.Split(rest, "\n"), sealed
	return nil
}

// encode is the file.
func (f *extractFile) encode() []byte {
	return append([]byte(extractWords+" "+f.person+"\n"+strings.Join(f.names, "\n")+"\n\n"), f.sealed...)
}

// openExtract gives the key of an extract.
func (v *Vault) openExtract(f extractFile) (*age.X25519Identity, error) {
	id, err := v.person(f.person)
	if err != nil {
		return nil, err
	}
	text, err := v.readKey(id, f.purpose(), f.keyName()...)
	if err != nil {
		return nil, err
	}
	key, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, fmt.Errorf("no key: %w", stemma.ErrInvalid)
	}
	return key, nil
}

// Extracts gives the ids of the extracts of a person's group, sorted.
func (v *Vault) Extracts(_ context.Context, person, group string) ([]string, error) {
	return v.extractsIn(v.groupName(person, group))
}

// extractsIn gives the ids of the extracts in a folder.
func (v *Vault) extractsIn(group string) ([]string, error) {
	files, err := os.ReadDir(v.extractPath(group))
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("list extracts: %w", kind(err))
	}
	var ids []string
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), ".") {
			ids = append(ids, f.Name())
		}
	}
	return ids, nil
}

// Extract reads an extract. It is ErrNotFound where it is gone, and ErrInvalid
// where it or its key is damaged: then drop it, and make it again. It may be
// called at once from several goroutines.
func (v *Vault) Extract(_ context.Context, person, group, id string) (Extract, error) {
	content, err := v.extract(v.groupName(person, group), id)
	if err != nil {
		return Extract{}, fmt.Errorf("extract %s: %w", id, err)
	}
	return Extract{ID: id, Bytes: content}, nil
}

func (v *Vault) extract(group, id string) ([]byte, error) {
	f, err := v.readExtract(group, id)
	if err != nil {
		return nil, err
	}
	key, err := v.openExtract(f)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(f.sealed), key)
	if err != nil {
		return nil, fmt.Errorf("damaged: %w", stemma.ErrInvalid)
	}
	packed, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("damaged: %w", stemma.ErrInvalid)
	}
	content, err := v.reader.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("damaged: %w", stemma.ErrInvalid)
	}
	return content, nil
}

// DropExtract destroys an extract, its key first. That there is none is no error.
func (v *Vault) DropExtract(ctx context.Context, person, group, id string) error {
	unlock, err := v.lock(ctx, vaultLock, false)
	if err != nil {
		return fmt.Errorf("drop extract %s: %w", id, err)
	}
	defer unlock()
	f := extractFile{id: id, group: v.groupName(person, group), person: person}
	if err := shred(v.keyPath(f.keyName()...)); err != nil {
		return fmt.Errorf("drop extract %s: %w", id, err)
	}
	if err := os.Remove(v.extractPath(f.group, id)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("drop extract %s: %w", id, kind(err))
	}
	return nil
}

// eachExtract calls visit for every extract of the vault, with what is wrong
// with its file.
func (v *Vault) eachExtract(visit func(f extractFile, err error) error) error {
	groups, err := os.ReadDir(v.extractPath())
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("list extracts: %w", kind(err))
	}
	for _, g := range groups {
		ids, err := v.extractsIn(g.Name())
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := visit(v.readExtract(g.Name(), id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// extractKeys gives the key files of the extracts that an erasure of these
// sessions reaches, relative to the folder of keys. What can not be told to be
// of others goes too: a damaged extract, and a key whose extract is not there.
func (v *Vault) extractKeys(names []string) ([]string, error) {
	stays := make(map[string]bool)
	err := v.eachExtract(func(f extractFile, err error) error {
		if err == nil && !slices.ContainsFunc(f.names, func(n string) bool { return slices.Contains(names, n) }) {
			if _, err := v.openExtract(f); err == nil {
				stays[filepath.Join(f.keyName()...)] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	files, err := matching(v.keyPath("extracts"), "*.key")
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var gone []string
	for _, f := range files {
		if name := filepath.Join("extracts", filepath.Base(f)); !stays[name] {
			gone = append(gone, name)
		}
	}
	return gone, nil
}

// sweepExtracts removes the extracts whose keys are gone, and what killed writers
// left of some. The vault is locked alone.
func (v *Vault) sweepExtracts() error {
	left, err := matching(v.extractPath(), "*/.extract-*")
	if err != nil {
		return fmt.Errorf("list extracts: %w", err)
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
			return kind(err)
		}
	}
	return v.eachExtract(func(f extractFile, err error) error {
		if err == nil {
			if _, err := os.Stat(v.keyPath(f.keyName()...)); err == nil {
				return nil
			}
		}
		if err := os.Remove(v.extractPath(f.group, f.id)); err != nil && !os.IsNotExist(err) {
			return kind(err)
		}
		return nil
	})
}

// checkExtracts opens every extract.
func (v *Vault) checkExtracts(n *Checked, report func(Fault) error) error {
	return v.eachExtract(func(f extractFile, err error) error {
		n.Keys++
		if err == nil {
			_, err = v.extract(f.group, f.id)
		}
		if err == nil || errors.Is(err, stemma.ErrNotFound) {
			return nil // without its key it is none: somebody drops it
		}
		return report(Fault{"extract " + f.id, strings.TrimSuffix(err.Error(), ": "+stemma.ErrInvalid.Error())})
	})
}
