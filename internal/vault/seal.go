package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/stemma-dev/stemma"
)

// The plain text of an object is a skippable frame (RFC 8878, section 3.1.2)
// with the object's head in JSON, and a frame with the content. Stock zstd reads
// the content and skips the head.
const (
	headMagic = 0x184D2A50
	maxHeader = 8 << 10
	// maxSealed bounds an object, bytes: what does not compress grows a little.
	maxSealed = MaxContent + MaxContent/256 + 1<<20
)

// secret is the key of a compartment and what is derived from it.
type secret struct {
	session, part string
	key           *age.X25519Identity
	ids, salts    []byte
}

func newSecret(session, part, text string) (*secret, error) {
	key, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, fmt.Errorf("no data key: %w", stemma.ErrInvalid)
	}
	return &secret{session: session, part: part, key: key, ids: derive(text, "object ids"), salts: derive(text, "salts")}, nil
}

// objectID names content by a keyed hash: the same content has the same name
// within a compartment, and no name tells or confirms a guess.
func (s *secret) objectID(content []byte) string {
	mac := hmac.New(sha256.New, s.ids)
	mac.Write(content)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// salt is what the commitment to an object is made with: 128 bits that go with
// the key.
func (s *secret) salt(id string) []byte {
	mac := hmac.New(sha256.New, s.salts)
	mac.Write([]byte(id))
	return mac.Sum(nil)[:16]
}

// seal compresses and encrypts content with its head.
func (v *Vault) seal(s *secret, o object, content []byte) ([]byte, error) {
	head, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("seal: %v", err)
	}
	if len(head) > maxHeader {
		return nil, fmt.Errorf("seal: head of %d bytes: %w", len(head), stemma.ErrInvalid)
	}
	plain := binary.LittleEndian.AppendUint32(nil, headMagic)
	plain = binary.LittleEndian.AppendUint32(plain, uint32(len(head)))
	plain = append(plain, head...)
	plain = v.packer.EncodeAll(content, plain)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, s.key.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal: %v", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %v", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %v", err)
	}
	return sealed.Bytes(), nil
}

// unseal opens an object, and proves that it is the one of this name.
func (v *Vault) unseal(s *secret, id string, sealed []byte) (object, []byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), s.key)
	if err != nil {
		return object{}, nil, fmt.Errorf("the object is damaged: %w", stemma.ErrInvalid)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return object{}, nil, fmt.Errorf("the object is damaged: %w", stemma.ErrInvalid)
	}
	o, packed, err := decodeHead(plain)
	if err != nil {
		return object{}, nil, err
	}
	content, err := v.reader.DecodeAll(packed, nil)
	if err != nil {
		return object{}, nil, fmt.Errorf("the object does not unpack: %w", stemma.ErrInvalid)
	}
	if o.Session != s.session || o.Part != s.part || o.ID != id || s.objectID(content) != id || o.Size != int64(len(content)) {
		return object{}, nil, fmt.Errorf("the object is another than its name says: %w", stemma.ErrInvalid)
	}
	o.commitment = Commit(s.salt(id), content)
	return o, content, nil
}

// decodeHead reads the head of an object's plain text and gives what follows it.
func decodeHead(plain []byte) (object, []byte, error) {
	if len(plain) < 8 || binary.LittleEndian.Uint32(plain) != headMagic {
		return object{}, nil, fmt.Errorf("the object has no head: %w", stemma.ErrInvalid)
	}
	n := binary.LittleEndian.Uint32(plain[4:])
	if n > maxHeader || int(n) > len(plain)-8 {
		return object{}, nil, fmt.Errorf("the object's head has %d bytes: %w", n, stemma.ErrInvalid)
	}
	var o object
	if err := json.Unmarshal(plain[8:8+n], &o); err != nil {
		return object{}, nil, fmt.Errorf("the object's head: %v: %w", err, stemma.ErrInvalid)
	}
	return o, plain[8+n:], nil
}
