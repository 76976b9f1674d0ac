package sign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/attest"
)

// MaxTrustFile is the size in bytes over which a trust.yaml is not read.
const MaxTrustFile = 1 << 20

// ParseTrust reads a trust.yaml (doc/trust-file.md). name is what errors call
// the file; read reads the files that it names, and may be nil where it may
// name none. Nothing in the file can make a key attest: what a key is worth
// follows from who holds it, and what an identity is worth from what is pinned.
//
// The error is ErrInvalid, with the line, for anything that is not understood:
// a word that is misspelt must not become a rule that is left out.
func ParseTrust(name string, text []byte, read func(path string) ([]byte, error)) (Trust, error) {
	p := &trustFile{name: name, read: read}
	if len(text) > MaxTrustFile {
		return Trust{}, fmt.Errorf("%s: %d bytes is over the limit of %d: %w", name, len(text), MaxTrustFile, stemma.ErrInvalid)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return Trust{}, fmt.Errorf("%s is empty; it needs \"version: 1\": %w", name, stemma.ErrInvalid)
	} else if err != nil {
		return Trust{}, fmt.Errorf("%s: %s: %w", name, strings.TrimPrefix(err.Error(), "yaml: "), stemma.ErrInvalid)
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return Trust{}, fmt.Errorf("%s: more than one document: %w", name, stemma.ErrInvalid)
	}
	if err := p.file(doc.Content[0]); err != nil {
		return Trust{}, err
	}
	return p.trust, nil
}

// trustFile is the reading of one trust.yaml.
type trustFile struct {
	name  string
	read  func(string) ([]byte, error)
	trust Trust
}

func (p *trustFile) fault(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s line %d: %s: %w", p.name, n.Line, fmt.Sprintf(format, args...), stemma.ErrInvalid)
}

func (p *trustFile) at(n *yaml.Node) string { return fmt.Sprintf("%s line %d", p.name, n.Line) }

func (p *trustFile) file(n *yaml.Node) error {
	version := ""
	err := p.mapping(n, fields{
		"version":    p.into(&version),
		"roots":      func(n *yaml.Node) error { return p.strings(n, &p.trust.Roots) },
		"keys":       func(n *yaml.Node) error { return p.each(n, p.key) },
		"identities": func(n *yaml.Node) error { return p.each(n, p.identity) },
	})
	if err != nil {
		return err
	}
	if version != "1" {
		return p.fault(n, "want \"version: 1\"")
	}
	return nil
}

func (p *trustFile) key(n *yaml.Node) error {
	var k Key
	var pem, file, holder string
	var revoked *Revocation
	err := p.mapping(n, fields{
		"name":       p.into(&k.Name),
		"publicKey":  p.into(&pem),
		"file":       p.into(&file),
		"holder":     p.into(&holder),
		"notBefore":  func(n *yaml.Node) error { return p.time(n, &k.From) },
		"notAfter":   func(n *yaml.Node) error { return p.time(n, &k.Until) },
		"predicates": func(n *yaml.Node) error { return p.strings(n, &k.Predicates) },
		"revoked": func(n *yaml.Node) error {
			revoked = &Revocation{Pinned: p.at(n)}
			return p.mapping(n, fields{
				"from":   func(n *yaml.Node) error { return p.time(n, &revoked.From) },
				"reason": p.into(&revoked.Reason),
			})
		},
	})
	switch {
	case err != nil:
		return err
	case k.Name == "":
		return p.fault(n, "a key without \"name\"")
	case (pem == "") == (file == ""):
		return p.fault(n, "key %q: want either \"publicKey\" or \"file\"", k.Name)
	case holder != string(HeldByPerson) && holder != string(HeldByServer):
		return p.fault(n, "key %q: \"holder\" is %q, want %s or %s; no key attests, only a workflow's identity can", k.Name, holder, HeldByPerson, HeldByServer)
	case !k.From.IsZero() && !k.Until.IsZero() && !k.From.Before(k.Until):
		return p.fault(n, "key %q: it ends before it begins", k.Name)
	}
	if file != "" {
		text, err := p.open(file)
		if err != nil {
			return p.fault(n, "key %q: %v", k.Name, err)
		}
		pem = string(text)
	}
	k.Holder, k.Pinned = Holder(holder), p.at(n)
	if k.Public, err = attest.DecodeKey(pem); err != nil {
		return p.fault(n, "key %q: %s", k.Name, plain(err))
	}
	if k.ID, err = attest.KeyID(k.Public); err != nil {
		return p.fault(n, "key %q: %s", k.Name, plain(err))
	}
	if slices.ContainsFunc(p.trust.Keys, func(o Key) bool { return o.ID == k.ID }) {
		return p.fault(n, "key %q is listed twice", k.Name)
	}
	p.trust.Keys = append(p.trust.Keys, k)
	if revoked != nil {
		if revoked.From.IsZero() {
			return p.fault(n, "key %q: \"revoked\" without \"from\"", k.Name)
		}
		revoked.KeyID = k.ID
		p.trust.Revoked = append(p.trust.Revoked, *revoked)
	}
	return nil
}

func (p *trustFile) open(file string) ([]byte, error) {
	if p.read == nil {
		return nil, errors.New("a file can not be read from here")
	}
	return p.read(file)
}

func (p *trustFile) identity(n *yaml.Node) error {
	var id Identity
	err := p.mapping(n, fields{
		"name":          p.into(&id.Name),
		"issuer":        p.into(&id.Issuer),
		"subject":       p.into(&id.Subject),
		"workflow":      p.into(&id.Workflow),
		"protectedRefs": func(n *yaml.Node) error { return p.strings(n, &id.ProtectedRefs) },
		"predicates":    func(n *yaml.Node) error { return p.strings(n, &id.Predicates) },
	})
	switch {
	case err != nil:
		return err
	case id.Name == "":
		return p.fault(n, "an identity without \"name\"")
	case !isURL(id.Issuer):
		return p.fault(n, "identity %q: \"issuer\" is %q, want the URL of the identity provider", id.Name, id.Issuer)
	case (id.Subject == "") == (id.Workflow == ""):
		return p.fault(n, "identity %q: want either \"subject\" or \"workflow\"", id.Name)
	case id.Workflow != "" && !isURL(id.Workflow):
		return p.fault(n, "identity %q: \"workflow\" is %q, want the URL of the workflow file", id.Name, id.Workflow)
	case strings.Contains(id.Workflow, "@"):
		return p.fault(n, "identity %q: \"workflow\" names a ref; list it under \"protectedRefs\"", id.Name)
	case id.Workflow != "" && len(id.ProtectedRefs) == 0:
		return p.fault(n, "identity %q: a workflow needs \"protectedRefs\": without them every developer can run it as they like", id.Name)
	case id.Subject != "" && len(id.ProtectedRefs) > 0:
		return p.fault(n, "identity %q: \"protectedRefs\" belong to a workflow", id.Name)
	}
	for _, ref := range id.ProtectedRefs {
		if !strings.HasPrefix(ref, "refs/") || strings.Contains(ref, "*") {
			return p.fault(n, "identity %q: %q is not the full name of one ref (refs/heads/main)", id.Name, ref)
		}
	}
	id.Pinned = p.at(n)
	p.trust.Identities = append(p.trust.Identities, id)
	return nil
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// fields says who reads the value of each field of a mapping.
type fields map[string]func(*yaml.Node) error

// mapping reads a mapping: no field twice, none that is not known.
func (p *trustFile) mapping(n *yaml.Node, of fields) error {
	if n.Kind != yaml.MappingNode {
		return p.fault(n, "want a mapping (name: value)")
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		read, ok := of[name.Value]
		switch {
		case name.Kind != yaml.ScalarNode || !ok:
			return p.fault(name, "%q is no field here", name.Value)
		case seen[name.Value]:
			return p.fault(name, "%q is given twice", name.Value)
		}
		seen[name.Value] = true
		if err := read(value); err != nil {
			return err
		}
	}
	return nil
}

// each reads a list.
func (p *trustFile) each(n *yaml.Node, read func(*yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return p.fault(n, "want a list (- item)")
	}
	for _, item := range n.Content {
		if err := read(item); err != nil {
			return err
		}
	}
	return nil
}

func (p *trustFile) strings(n *yaml.Node, into *[]string) error {
	return p.each(n, func(n *yaml.Node) error {
		var s string
		if err := p.into(&s)(n); err != nil {
			return err
		}
		*into = append(*into, s)
		return nil
	})
}

func (p *trustFile) into(s *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
			return p.fault(n, "want a text")
		}
		*s = n.Value
		return nil
	}
}

func (p *trustFile) time(n *yaml.Node, into *time.Time) error {
	at, err := time.Parse(time.RFC3339, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return p.fault(n, "want a time like 2026-03-01T12:00:00Z")
	}
	*into = at.UTC()
	return nil
}

// plain is an error without its kind, for a message that has its own.
func plain(err error) string { return strings.TrimSuffix(err.Error(), ": "+stemma.ErrInvalid.Error()) }
