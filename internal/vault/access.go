package vault

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/stemma-dev/stemma"
)

// Readable gives all content that the vault holds, by the URI of its reference,
// and of each whether it is of a session that the person owns.
func (v *Vault) Readable(ctx context.Context, person string) (map[string]bool, error) {
	all := make(map[string]bool)
	err := rows(ctx, v.db, func(r *sql.Rows) error {
		var uri string
		var own bool
		err := r.Scan(&uri, &own)
		all[uri] = own
		return err
	}, `
		select 'vault:' || b.name || '/' || b.part || '/' || b.id, o.person is not null
		from object b join session s on s.name = b.name left join owner o on o.name = b.name and o.person = ?
		where s.erasure = ''`, person)
	return all, err
}

// OpenAs is [Vault.Open] for somebody: it is ErrDenied where the session is not
// this person's.
func (v *Vault) OpenAs(ctx context.Context, person, uri string) (Opened, error) {
	name, part, _, err := splitURI(uri)
	if err != nil {
		return Opened{}, fmt.Errorf("open %s: %w", uri, err)
	}
	if _, err := v.sessionNamed(ctx, name); err != nil {
		return Opened{}, fmt.Errorf("open %s: %w", uri, err)
	}
	if _, err := os.Stat(v.keyPath(wrapFile(name, part, person)...)); errors.Is(err, fs.ErrNotExist) {
		owners, oerr := words(ctx, v.db, `select person from owner where name = ?`, name)
		if oerr != nil {
			return Opened{}, fmt.Errorf("open %s: %w", uri, oerr)
		}
		if !slices.Contains(owners, person) {
			return Opened{}, fmt.Errorf("open %s: it is another person's: %w", uri, stemma.ErrDenied)
		}
	}
	return v.Open(ctx, uri)
}

// Owners gives the pseudonyms of the people whose session it is, sorted. It is an
// [*ErasedError] where the session is erased, and ErrNotFound where the vault
// holds nothing of it.
func (v *Vault) Owners(ctx context.Context, session string) ([]string, error) {
	name := v.sessionName(session)
	if _, err := v.sessionNamed(ctx, name); err != nil {
		return nil, fmt.Errorf("owners of session %s: %w", session, err)
	}
	return words(ctx, v.db, `select person from owner where name = ? order by person`, name)
}
