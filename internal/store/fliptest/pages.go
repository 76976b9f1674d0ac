package fliptest

import (
	"database/sql"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // asked for the owner of each page
)

// Pages tells what the bytes of a SQLite file are (https://sqlite.org/fileformat2.html).
type Pages struct {
	data  []byte
	size  int
	owner map[int]string // page -> table or index
}

// ReadPages reads a file that nobody writes to and whose write-ahead log is empty.
func ReadPages(t testing.TB, path string) *Pages {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &Pages{data: data, size: int(binary.BigEndian.Uint16(data[16:])), owner: make(map[int]string)}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT name, pageno FROM dbstat")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var page int
		if err := rows.Scan(&name, &page); err != nil {
			t.Fatal(err)
		}
		p.owner[page] = name
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// HoldsNothing says what a byte is whose change changes nothing of what is kept;
// "" where it is part of a row, a key or the structure.
// Of no pages it is always "".
func (p *Pages) HoldsNothing(at int) string {
	if p == nil {
		return ""
	}
	page, in := at/p.size+1, at%p.size
	if page == 1 && in < 100 {
		for _, f := range []struct {
			from, to int
			name     string
		}{
			{18, 20, "the file header: versions of the format for writing and reading"},
			{24, 28, "the file header: counter of changes"},
			{28, 32, "the file header: size in pages, which the file's own size replaces"},
			{32, 40, "the file header: list of free pages, when none is free"},
			{40, 44, "the file header: counter of changes of the schema"},
			{44, 48, "the file header: version of the schema's format"},
			{48, 52, "the file header: suggested size of a cache"},
			{52, 56, "the file header: largest root page of an auto-vacuum file"},
			{56, 60, "the file header: encoding of texts, when all keys are bytes"},
			{64, 68, "the file header: incremental vacuum"},
			{72, 92, "the file header: reserved for expansion"},
			{92, 100, "the file header: version of the library that wrote it"},
		} {
			if in >= f.from && in < f.to {
				return f.name
			}
		}
		return ""
	}
	switch owner := p.owner[page]; {
	case owner == "":
		return "pages that are free"
	case strings.HasPrefix(owner, "goose"), owner == "sqlite_sequence":
		return "the table of migrations, which says when they were made"
	case owner == "sqlite_schema":
		return "the text of the schema, where its meaning stays"
	}
	begin := (page - 1) * p.size
	head := p.data[begin:]
	length, ok := map[byte]int{2: 12, 5: 12, 10: 8, 13: 8}[head[0]]
	if !ok {
		// An overflow page: the number of the next one, and bytes of a row.
		return ""
	}
	if in == 7 {
		return "a page header: count of fragments"
	}
	cells := int(binary.BigEndian.Uint16(head[3:]))
	content := int(binary.BigEndian.Uint16(head[5:]))
	if content == 0 {
		content = 65536
	}
	if in >= length+2*cells && in < content {
		return "space of a page that no row has taken"
	}
	if head[0] == 13 && p.isRowID(head, cells, in) {
		return "a row's place for its id, which is the key and not read there"
	}
	if in == 1 || in == 2 {
		return "a page header: list of free blocks, when it is empty"
	}
	for block := int(binary.BigEndian.Uint16(head[1:])); block != 0; {
		next, size := int(binary.BigEndian.Uint16(head[block:])), int(binary.BigEndian.Uint16(head[block+2:]))
		if in >= block && in < block+size {
			return "space of a page that a row has left"
		}
		block = next
	}
	return ""
}

// isRowID reports whether a byte of a table's leaf is the type of a row's first
// column: in our tables that is the INTEGER PRIMARY KEY, which is kept as the
// key of the row and as NULL in its place.
func (p *Pages) isRowID(page []byte, cells, in int) bool {
	for i := range cells {
		at := int(binary.BigEndian.Uint16(page[8+2*i:]))
		for range 2 { // the length of the row, and its key
			for page[at] >= 0x80 {
				at++
			}
			at++
		}
		if at+1 == in && page[in] == 0 { // after the length of the row's header
			return true
		}
	}
	return false
}

// Owner is the table or index that a byte's page belongs to.
func (p *Pages) Owner(at int) string { return p.owner[at/p.size+1] }
