package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
)

// A key file is an age file whose plain text is lines: the words below, what the
// key is for, and the key. What it is for is part of what is encrypted, so that
// the file of one key does not pass for another's.
const keyWords = "stemma vault key v1"

// maxKeyFile bounds a key file, bytes.
const maxKeyFile = 4096

// keyPath gives the path of a file or folder of keys.
func (v *Vault) keyPath(name ...string) string {
	return filepath.Join(append([]string{v.cfg.Keys}, name...)...)
}

// openMaster reads the master key, or makes it.
func (v *Vault) openMaster(ctx context.Context) error {
	path := v.keyPath("master.key")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		unlock, lerr := v.lock(ctx, keyLock, true)
		if lerr != nil {
			return lerr
		}
		defer unlock()
		if text, err = os.ReadFile(path); errors.Is(err, fs.ErrNotExist) {
			made, merr := age.GenerateX25519Identity()
			if merr != nil {
				return merr
			}
			text = []byte(made.String() + "\n")
			err = writeKey(path, text)
		}
	}
	if err != nil {
		return fmt.Errorf("master key: %w", kind(err))
	}
	line, whole := strings.CutSuffix(string(text), "\n")
	if v.master, err = age.ParseX25519Identity(line); err != nil || !whole {
		return fmt.Errorf("master key %s is damaged: %w", path, stemma.ErrInvalid)
	}
	v.names = derive(v.master.String(), "names")
	return nil
}

// derive gives a key for one use from a key.
func derive(key, use string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("stemma vault v1 " + use))
	return mac.Sum(nil)
}

// keyed gives the first n bytes of the keyed hash of words, in hexadecimal.
// Words do not run into one another.
func keyed(key []byte, n int, words ...string) string {
	mac := hmac.New(sha256.New, key)
	for _, w := range words {
		fmt.Fprintf(mac, "%d:%s", len(w), w)
	}
	return hex.EncodeToString(mac.Sum(nil)[:n])
}

// sealKey gives the content of a key file: a key, what it is for, and who can
// open it.
func sealKey(to age.Recipient, purpose []string, key string) ([]byte, error) {
	var file bytes.Buffer
	w, err := age.Encrypt(&file, to)
	if err != nil {
		return nil, fmt.Errorf("seal key: %v", err)
	}
	if _, err := io.WriteString(w, strings.Join(append(append([]string{keyWords}, purpose...), key), "\n")); err != nil {
		return nil, fmt.Errorf("seal key: %v", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal key: %v", err)
	}
	return file.Bytes(), nil
}

// openKey decodes a key file. It is ErrInvalid where the file is damaged, sealed
// to another key, or for another purpose.
func openKey(file []byte, with age.Identity, purpose []string) (string, error) {
	if len(file) > maxKeyFile {
		return "", fmt.Errorf("longer than %d bytes: %w", maxKeyFile, stemma.ErrInvalid)
	}
	r, err := age.Decrypt(bytes.NewReader(file), with)
	if err != nil {
		return "", fmt.Errorf("damaged, or sealed to another key: %w", stemma.ErrInvalid)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("damaged: %w", stemma.ErrInvalid)
	}
	return decodeKey(text, purpose)
}

// decodeKey reads the plain text of a key file.
func decodeKey(text []byte, purpose []string) (string, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != len(purpose)+2 || lines[0] != keyWords {
		return "", fmt.Errorf("no key of a vault: %w", stemma.ErrInvalid)
	}
	for i, p := range purpose {
		if lines[i+1] != p {
			return "", fmt.Errorf("the key of something else: %w", stemma.ErrInvalid)
		}
	}
	return lines[len(lines)-1], nil
}

// readKey reads a key file. It is ErrNotFound where there is none.
func (v *Vault) readKey(with age.Identity, purpose []string, name ...string) (string, error) {
	path := v.keyPath(name...)
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("key %s: %w", filepath.Join(name...), kind(err))
	}
	defer f.Close()
	file, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return "", fmt.Errorf("key %s: %w", filepath.Join(name...), kind(err))
	}
	key, err := openKey(file, with, purpose)
	if err != nil {
		return "", fmt.Errorf("key %s: %w", filepath.Join(name...), err)
	}
	return key, nil
}

// writeKey makes a key file, whole and durable. The file must not be there.
func writeKey(path string, content []byte) error {
	dir := filepath.Dir(path)
	made := false
	if _, err := os.Stat(dir); err != nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		made = true
	}
	f, err := os.CreateTemp(dir, ".key-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if rerr := os.Remove(f.Name()); err == nil {
		err = rerr
	}
	if err != nil {
		return err
	}
	if made {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// shred overwrites a file, makes that durable, and removes it. That it is not
// there is no error. What a medium keeps of what was overwritten is beyond it.
func shred(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return kind(err)
	}
	st, err := f.Stat()
	if err == nil {
		_, err = io.CopyN(f, rand.Reader, st.Size())
	}
	if serr := f.Sync(); err == nil {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("destroy %s: %w", path, kind(err))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return kind(err)
	}
	defer d.Close()
	// Some systems can not sync a folder, and need not.
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrPermission) {
		return kind(err)
	}
	return nil
}

// kind gives an error of the file system its kind.
func kind(err error) error {
	switch {
	case err == nil, isKind(err):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%v: %w", cause(err), stemma.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%v: %w", cause(err), stemma.ErrDenied)
	}
	return fmt.Errorf("%v: %w", cause(err), stemma.ErrUnavailable)
}

func isKind(err error) bool {
	for _, k := range []error{stemma.ErrNotFound, stemma.ErrInvalid, stemma.ErrConflict, stemma.ErrDenied, stemma.ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// cause is what the system said, without the path that the caller names.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
