package evidence

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// The limits of a file of evidence.
const (
	// MaxFile is the size in bytes over which a file is not read.
	MaxFile = 256 << 20
	// MaxPieces is how many envelopes a file may have.
	MaxPieces = 100_000
)

// ExportSchema names the form of the file that [Write] makes.
const ExportSchema = "stemma.export/v1"

// Export is what is in an exported file besides its pieces: an uncompressed tar,
// each of whose members is in a form that other tools read on their own.
//
//	manifest.json                 what it is: Schema, Node, Members
//	statements/<digest>.dsse.json the envelope, byte for byte as stored
//	statements/<digest>.sigstore.json  the same as a Sigstore bundle; by itself where
//	                              it is the bundle that is stored
//	proofs/<digest>.tlog-proof    where the log has it
//	keys/<key id>.pem             the public key that it names
//	log.vkey                      the key of the log
//
// Keys in the file are there to be compared with, not to be believed: whoever
// made the file chose them.
type Export struct {
	Schema  string   `json:"schema"`
	Node    string   `json:"node"`
	Pieces  []Piece  `json:"-"`
	Keys    []string `json:"-"` // PEM
	LogKey  string   `json:"-"`
	Members []string `json:"members"`
}

// Write makes an exported file. The same export gives the same bytes.
func Write(w io.Writer, x Export) error {
	type member struct {
		name string
		data []byte
	}
	var members []member
	add := func(name string, data []byte) { members = append(members, member{name, data}) }
	for _, p := range x.Pieces {
		digest := attest.Digest(p.Envelope)
		b, err := Bundle(p.Envelope)
		if err != nil && !errors.Is(err, stemma.ErrInvalid) {
			return err
		}
		if b != nil { // an envelope of two signatures has none
			add("statements/"+digest+".sigstore.json", b)
		}
		if !bytes.Equal(b, p.Envelope) {
			add("statements/"+digest+".dsse.json", p.Envelope)
		}
		if p.Proof != nil {
			add("proofs/"+digest+".tlog-proof", p.Proof)
		}
	}
	for _, text := range x.Keys {
		key, err := attest.DecodeKey(text)
		if err != nil {
			return err
		}
		id, err := attest.KeyID(key)
		if err != nil {
			return err
		}
		add("keys/"+id+".pem", []byte(text))
	}
	if x.LogKey != "" {
		add("log.vkey", []byte(strings.TrimSpace(x.LogKey)+"\n"))
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	members = slices.CompactFunc(members, func(a, b member) bool { return a.name == b.name })
	x.Schema, x.Members = ExportSchema, []string{}
	for _, m := range members {
		x.Members = append(x.Members, m.name)
	}
	manifest, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	members = slices.Insert(members, 0, member{"manifest.json", append(manifest, '\n')})
	out := tar.NewWriter(w)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if err := out.WriteHeader(h); err != nil {
			return fmt.Errorf("export: %w", err)
		}
		if _, err := out.Write(m.data); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	return out.Close()
}

// Read takes a file of evidence: a DSSE envelope, a Sigstore bundle, one of
// these a line, or an exported file. The error is ErrInvalid, with the place,
// for bytes that are none of these or over [MaxFile]; what the pieces are worth
// is not looked at.
func Read(b []byte) (Export, error) {
	switch {
	case len(b) > MaxFile:
		return Export{}, fmt.Errorf("%d bytes is over the limit of %d for a file of evidence: %w", len(b), MaxFile, stemma.ErrInvalid)
	case len(b) > 262 && string(b[257:262]) == "ustar":
		return readTar(b)
	case len(bytes.TrimSpace(b)) == 0:
		return Export{}, fmt.Errorf("the file is empty: %w", stemma.ErrInvalid)
	}
	p, err := readJSON(b)
	if err == nil {
		return Export{Pieces: []Piece{p}}, nil
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	if len(lines) < 2 || len(lines) > MaxPieces || !json.Valid(bytes.TrimSpace(lines[0])) {
		return Export{}, err
	}
	var x Export
	for i, line := range lines {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		p, err := readJSON(line)
		if err != nil {
			return Export{}, fmt.Errorf("line %d: %w", i+1, err)
		}
		p.Name = fmt.Sprintf("line %d", i+1)
		x.Pieces = append(x.Pieces, p)
	}
	return x, nil
}

// readJSON takes one envelope or bundle.
func readJSON(b []byte) (Piece, error) {
	if err := attest.FileLimits.Strict(b); err != nil {
		return Piece{}, err
	}
	var form struct {
		MediaType   json.RawMessage `json:"mediaType"`
		Bundled     json.RawMessage `json:"dsseEnvelope"`
		PayloadType *string         `json:"payloadType"`
		Statement   string          `json:"_type"`
		Payload     json.RawMessage `json:"payload"`
	}
	if err := jsonv2.Unmarshal(b, &form); err != nil {
		return Piece{}, fmt.Errorf("neither an envelope nor a bundle: %w", stemma.ErrInvalid)
	}
	switch {
	case form.Bundled != nil, bytes.Contains(form.MediaType, []byte("sigstore.bundle")):
		_, err := attest.FileLimits.Decode(b)
		return Piece{Envelope: bytes.TrimSpace(b)}, err
	case form.PayloadType != nil || form.Payload != nil:
		return Piece{Envelope: bytes.TrimSpace(b)}, nil
	case form.Statement != "":
		return Piece{}, fmt.Errorf("a statement without an envelope: nobody has signed it: %w", stemma.ErrInvalid)
	}
	return Piece{}, fmt.Errorf("neither an envelope nor a bundle: %w", stemma.ErrInvalid)
}

// readTar takes an exported file.
func readTar(b []byte) (Export, error) {
	in := tar.NewReader(bytes.NewReader(b))
	files := make(map[string][]byte)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Export{}, fmt.Errorf("exported file: %v: %w", err, stemma.ErrInvalid)
		}
		if _, twice := files[h.Name]; twice || h.Typeflag != tar.TypeReg || len(files) > 3*MaxPieces {
			return Export{}, fmt.Errorf("exported file: member %q is no file, or there twice, or one too many: %w", h.Name, stemma.ErrInvalid)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return Export{}, fmt.Errorf("exported file: member %q: %v: %w", h.Name, err, stemma.ErrInvalid)
		}
		files[h.Name] = data
	}
	x, err := manifest(files)
	if err != nil {
		return x, err
	}
	for _, name := range x.Members {
		data := files[name]
		digest, kind, _ := strings.Cut(path.Base(name), ".")
		switch {
		case path.Dir(name) == "statements" && kind == "dsse.json":
			x.Pieces = append(x.Pieces, Piece{Name: name, Envelope: data, Proof: files["proofs/"+digest+".tlog-proof"]})
		case path.Dir(name) == "statements" && kind == "sigstore.json" && files["statements/"+digest+".dsse.json"] == nil:
			x.Pieces = append(x.Pieces, Piece{Name: name, Envelope: data, Proof: files["proofs/"+digest+".tlog-proof"]})
		case path.Dir(name) == "keys":
			x.Keys = append(x.Keys, string(data))
		case name == "log.vkey":
			x.LogKey = strings.TrimSpace(string(data))
		}
	}
	return x, nil
}

// manifest reads the manifest and compares it with what is there: a member
// that was taken out or put in is no small thing.
func manifest(files map[string][]byte) (Export, error) {
	text, ok := files["manifest.json"]
	if !ok {
		return Export{}, fmt.Errorf("exported file: no manifest.json: %w", stemma.ErrInvalid)
	}
	if err := attest.FileLimits.Strict(text); err != nil {
		return Export{}, fmt.Errorf("exported file: manifest.json: %w", err)
	}
	var x Export
	if err := json.Unmarshal(text, &x); err != nil {
		return x, fmt.Errorf("exported file: manifest.json: %v: %w", err, stemma.ErrInvalid)
	}
	if x.Schema != ExportSchema {
		return x, fmt.Errorf("exported file: schema %q, want %s: %w", x.Schema, ExportSchema, stemma.ErrInvalid)
	}
	named := make(map[string]bool, len(x.Members))
	for _, name := range x.Members {
		if _, ok := files[name]; !ok || named[name] {
			return x, fmt.Errorf("exported file: the manifest names %q, which is not there, or twice: %w", name, stemma.ErrInvalid)
		}
		named[name] = true
	}
	for name := range files {
		if name != "manifest.json" && !named[name] {
			return x, fmt.Errorf("exported file: %q is there, and the manifest does not name it: %w", name, stemma.ErrInvalid)
		}
	}
	return x, nil
}
