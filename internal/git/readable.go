package git

import (
	"bytes"
	"strconv"
)

// readable tells of the commits whose blobs are not all here, and gives the
// others. It costs one more look at the trees, and saves a process for each
// commit that would kill one.
func (d *differ) readable(ids []string, emit func(Diff) error) ([]string, error) {
	blobs := map[string][]string{} // by commit
	var all []string
	asked := map[string]bool{}
	var ok []string
	err := d.passRaw(ids, emit, func(id string, needs []string) {
		ok = append(ok, id)
		blobs[id] = needs
		for _, blob := range needs {
			if !asked[blob] {
				asked[blob] = true
				all = append(all, blob)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	err = d.r.tellAll(d.ctx, all, func(i int, _ object, err error) {
		if err != nil {
			missing[all[i]] = true
		}
	})
	if err != nil {
		return nil, err
	}
	var here []string
	for _, id := range ok {
		reason := ""
		for _, blob := range blobs[id] {
			if missing[blob] {
				reason = "object " + blob + " is missing"
				break
			}
		}
		if reason == "" {
			here = append(here, id)
			continue
		}
		if err := emit(Diff{Commit: id, Unreadable: reason}); err != nil {
			return nil, err
		}
	}
	return here, nil
}

// passRaw asks for the blobs that differ, commit by commit.
func (d *differ) passRaw(ids []string, emit func(Diff) error, take func(id string, blobs []string)) error {
	return d.pass(blobsOnly, ids, emit, func(e *diffEntry) error {
		take(e.id, e.blobs)
		return nil
	})
}

// rawBlobs gives the blobs that a raw line names:
// ":<mode> <mode> <id> <id> <status>", with more of each for a merge.
func rawBlobs(head []byte, hexLen int) ([]string, bool) {
	sides := len(head) - len(bytes.TrimLeft(head, ":")) + 1
	f := bytes.Split(head[sides-1:], []byte{' '})
	if len(f) != 2*sides+1 {
		return nil, false
	}
	var ids []string
	for i := range sides {
		id := string(f[sides+i])
		if len(id) != hexLen || !isHex(id) {
			return nil, false
		}
		mode, err := strconv.ParseUint(string(f[i]), 8, 32)
		if err != nil {
			return nil, false
		}
		if mode != 0 && mode != 0o160000 && !isZero(id) {
			ids = append(ids, id)
		}
	}
	return ids, true
}
