package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
	"github.com/stemma-dev/stemma/internal/attest"
	"github.com/stemma-dev/stemma/internal/record"
	"github.com/stemma-dev/stemma/internal/vault"
)

// contentOf gives the references of what was said in a session, of all its parts
// with a space between; "" where nothing was kept of it.
func contentOf(t agent.Tale) string {
	var uris []string
	for _, c := range t.Content {
		if c.Name == "session" {
			uris = append(uris, c.Vault)
		}
	}
	return strings.Join(uris, " ")
}

// content opens what was said in a session, as [bench.reader] allows.
func (b *bench) content(ctx context.Context, t agent.Tale, reason string) (agent.Session, error) {
	uris := contentOf(t)
	open, err := b.reader(ctx, t.Key, "prompts", reason, strings.Fields(uris)...)
	if err != nil {
		return agent.Session{}, err
	}
	return foldContent(ctx, uris, open)
}

// opener opens content.
type opener = func(ctx context.Context, uri string) (vault.Opened, error)

// reader gives what opens content of a session, redacted. Of another person's
// session it is ErrDenied without a reason; with one, that it was asked for is
// recorded, and only then can it be opened. It is ErrNotFound where there are no
// references, and words say what they are of.
func (b *bench) reader(ctx context.Context, session, words, reason string, uris ...string) (opener, error) {
	if len(uris) == 0 {
		return nil, fmt.Errorf("content of session %s: %w", session, stemma.ErrNotFound)
	}
	if err := b.openVault(ctx); err != nil {
		return nil, err
	}
	person, err := b.vault.Person(ctx, localUser)
	if err != nil && !errors.Is(err, stemma.ErrNotFound) {
		return nil, err
	}
	own := func(ctx context.Context, uri string) (vault.Opened, error) { return b.vault.OpenAs(ctx, person, uri) }
	if _, err := own(ctx, uris[0]); !errors.Is(err, stemma.ErrDenied) {
		return own, err
	}
	if reason == "" {
		return nil, hinted{
			fmt.Errorf("the %s of session %s are another person's: %w", words, session, stemma.ErrDenied),
			`--reason "..." asks for them, and is recorded with your pseudonym, where their owner sees it`,
		}
	}
	if err := b.recordAccess(ctx, session, reason, uris...); err != nil {
		return nil, fmt.Errorf("nothing was opened, because it could not be recorded: %w", err)
	}
	return b.vault.Open, nil
}

// recordAccess records that the user is about to be shown content of another
// person's session.
func (b *bench) recordAccess(ctx context.Context, session, reason string, objects ...string) (err error) {
	// The words stay for ever: they must not name anybody.
	if clean, found := redactor().Text([]byte(reason)); found.Total() > 0 {
		return fmt.Errorf("the reason holds personal data, and would stay in the log: %s: %w", clean, stemma.ErrInvalid)
	}
	owners, err := b.vault.Owners(ctx, session)
	if err != nil {
		return err
	}
	person, err := b.vault.Pseudonym(ctx, localUser)
	if err != nil {
		return err
	}
	s, err := openSpine(ctx, b.say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return s.recorder.Access(ctx, attest.Access{Session: session, By: attest.Party{Kind: "person", ID: person}, Owners: owners, Reason: reason, Objects: objects})
}

// accesses gives who was shown content of a session that was another person's, the
// oldest first.
func (b *bench) accesses(ctx context.Context, session string) ([]attest.Access, error) {
	s, err := b.reading(ctx)
	if err != nil {
		return nil, err
	}
	all := []attest.Access{}
	for st, err := range record.StatementsAbout(ctx, s.evidence, []string{"uri:" + agent.SubjectURI(session)}, 0) {
		if err != nil {
			return nil, fmt.Errorf("read who was shown session %s: %w", session, err)
		}
		if st.Statement.PredicateType != attest.TypeAccess {
			continue
		}
		a, err := attest.As[attest.Access](st.Statement)
		if err != nil {
			b.say(fmt.Sprintf("log index %d: %v", st.Index, err))
			continue
		}
		all = append(all, a)
	}
	return all, nil
}

// openVault opens the vault to be read, once.
func (b *bench) openVault(ctx context.Context) error {
	if b.vault != nil {
		return nil
	}
	s, err := b.reading(ctx)
	if err == nil {
		b.vault, err = openVault(ctx, s)
	}
	return err
}

// openSession opens the content of a session, for a person who owns it.
func openSession(ctx context.Context, v *vault.Vault, person, uris string) (agent.Session, error) {
	return foldContent(ctx, uris, func(ctx context.Context, uri string) (vault.Opened, error) { return v.OpenAs(ctx, person, uri) })
}

// foldContent opens the content of all parts of a session, and puts them together.
func foldContent(ctx context.Context, uris string, open func(ctx context.Context, uri string) (vault.Opened, error)) (agent.Session, error) {
	var known []agent.Session
	for uri := range strings.FieldsSeq(uris) {
		opened, err := open(ctx, uri)
		if err != nil {
			return agent.Session{}, fmt.Errorf("content of a session: %w", err)
		}
		part, err := decodeSession(opened)
		if err != nil {
			return agent.Session{}, err
		}
		known = agent.Fold(known, agent.Reading{Sessions: []agent.Session{part}})
	}
	if len(known) == 0 {
		return agent.Session{}, fmt.Errorf("content of a session: %w", stemma.ErrNotFound)
	}
	return known[len(known)-1], nil
}

func decodeSession(opened vault.Opened) (agent.Session, error) {
	var s agent.Session
	if err := json.Unmarshal(opened.Bytes, &s); err != nil {
		return s, fmt.Errorf("content of session %s: %v: %w", cmp.Or(opened.Session, opened.URI), err, stemma.ErrInvalid)
	}
	return s, nil
}
