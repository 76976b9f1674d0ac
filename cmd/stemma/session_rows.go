package main

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/stemma-dev/stemma"
	"github.com/stemma-dev/stemma/internal/agent"
)

// rowsFile is where the rows of the list are remembered, in the folder of the
// index: it can be made again at any time.
const rowsFile = "sessions.rows"

// rememberedRows is the file: the rows as they were at an index of the log,
// newest first, and the commits of each as they were at a moment of the graph.
//
// A list of many thousand sessions is read at each call, so the file is made to
// be read at once: a table of every text, each there once, and behind it rows of
// numbers. What is read of a text is a part of the file as it lies in memory.
type rememberedRows struct {
	Next  uint64
	Graph string // "" where no row tells of commits
	Rows  []sessionRow
}

// rowsMagic begins the file; another form has another one.
const rowsMagic = "stemma rows 3\n"

// writeRows gives the file.
func writeRows(kept rememberedRows) []byte {
	var table, rows []byte
	at := make(map[string]uint64)
	number := func(n int64) { rows = binary.AppendVarint(rows, n) }
	text := func(s string) {
		i, ok := at[s]
		if !ok {
			i = uint64(len(at))
			at[s] = i
			table = binary.AppendUvarint(table, uint64(len(s)))
			table = append(table, s...)
		}
		rows = binary.AppendUvarint(rows, i)
	}
	for i := range kept.Rows {
		r := &kept.Rows[i]
		for _, s := range r.texts() {
			text(*s)
		}
		for _, list := range r.lists() {
			number(int64(len(*list)))
			for _, s := range *list {
				text(s)
			}
		}
		for _, n := range r.numbers() {
			number(int64(*n))
		}
		if r.Usage == nil {
			number(0)
			continue
		}
		number(1)
		number(int64(r.Usage.Requests))
		for _, n := range tokensOf(r.Usage) {
			number(*n)
		}
		if r.Usage.Cost == nil {
			number(0)
			continue
		}
		number(1)
		number(*r.Usage.Cost)
	}
	file := []byte(rowsMagic)
	for _, n := range []int{len(at), len(table), len(kept.Rows)} {
		file = binary.AppendUvarint(file, uint64(n))
	}
	file = binary.AppendUvarint(file, kept.Next)
	file = binary.AppendUvarint(file, uint64(len(kept.Graph)))
	file = append(file, kept.Graph...)
	file = append(file, table...)
	return append(file, rows...)
}

// texts, lists and numbers are the fields of a row by their type, in the order
// of the file.
func (r *sessionRow) texts() []*string {
	return []*string{&r.Session, &r.Agent, &r.Version, &r.Start, &r.End, &r.Parent, &r.TaskType, &r.Branch}
}

func (r *sessionRow) lists() []*[]string {
	return []*[]string{&r.Models, &r.Tickets, &r.Commits, &r.wrote}
}

func (r *sessionRow) numbers() []*int {
	return []*int{&r.Turns, &r.Prompts, &r.Calls, &r.Rewrites, &r.Gaps, &r.Config}
}

func tokensOf(u *agent.Usage) []*int64 {
	return []*int64{&u.Input, &u.CacheRead, &u.CacheWrite, &u.Output, &u.Reasoning}
}

// readRows reads the file, and gives false where there is none that can be read
// whole.
func readRows(path string) (rememberedRows, bool) {
	file, err := os.ReadFile(path)
	if err != nil {
		return rememberedRows{}, false
	}
	return parseRows(string(file))
}

func parseRows(file string) (rememberedRows, bool) {
	var kept rememberedRows
	if len(file) < len(rowsMagic) || file[:len(rowsMagic)] != rowsMagic {
		return kept, false
	}
	p := rowsParser{rest: file[len(rowsMagic):]}
	texts, tableSize, rows := p.uvarint(), p.uvarint(), p.uvarint()
	kept.Next = p.uvarint()
	kept.Graph = p.take(p.uvarint())
	// Every text takes a byte of the table at least, and every row one of the file.
	size := uint64(len(p.rest))
	if p.bad || kept.Next == 0 || tableSize > size || texts > tableSize || rows > size-tableSize {
		return rememberedRows{}, false
	}
	table := rowsParser{rest: p.rest[:tableSize]}
	p.rest = p.rest[tableSize:]
	p.texts = make([]string, texts)
	for i := range p.texts {
		p.texts[i] = table.take(table.uvarint())
	}
	kept.Rows = make([]sessionRow, rows)
	for i := range kept.Rows {
		p.row(&kept.Rows[i])
		if p.bad {
			return rememberedRows{}, false
		}
	}
	return kept, !table.bad && table.rest == "" && p.rest == ""
}

// rowsParser takes the file apart. What it gives after something bad is nothing.
type rowsParser struct {
	rest  string
	texts []string
	lists []string // what lists of rows are cut from
	used  []usage  // what counts of rows are cut from
	bad   bool
}

// usage is a count with the cost that it points to.
type usage struct {
	agent.Usage
	cost int64
}

func (p *rowsParser) uvarint() uint64 {
	var n uint64
	for i := 0; i < len(p.rest) && i < binary.MaxVarintLen64; i++ {
		b := p.rest[i]
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			p.rest = p.rest[i+1:]
			return n
		}
	}
	p.bad = true
	return 0
}

func (p *rowsParser) varint() int64 {
	n := p.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func (p *rowsParser) take(n uint64) string {
	if n > uint64(len(p.rest)) {
		p.bad = true
		return ""
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func (p *rowsParser) text() string {
	i := p.uvarint()
	if i >= uint64(len(p.texts)) {
		p.bad = true
		return ""
	}
	return p.texts[i]
}

func (p *rowsParser) list() []string {
	n := p.varint()
	if n < 0 || n > int64(len(p.rest)) {
		p.bad = true
		return nil
	}
	if len(p.lists)+int(n) > cap(p.lists) {
		p.lists = make([]string, 0, max(4096, int(n)))
	}
	from := len(p.lists)
	for range n {
		p.lists = append(p.lists, p.text())
	}
	return p.lists[from:len(p.lists):len(p.lists)]
}

func (p *rowsParser) row(r *sessionRow) {
	r.Session, r.Agent, r.Version, r.Start, r.End = p.text(), p.text(), p.text(), p.text(), p.text()
	r.Parent, r.TaskType, r.Branch = p.text(), p.text(), p.text()
	r.Models, r.Tickets, r.Commits, r.wrote = p.list(), p.list(), p.list(), p.list()
	r.Turns, r.Prompts, r.Calls = int(p.varint()), int(p.varint()), int(p.varint())
	r.Rewrites, r.Gaps, r.Config = int(p.varint()), int(p.varint()), int(p.varint())
	if p.varint() == 0 {
		return
	}
	if len(p.used) == 0 {
		p.used = make([]usage, 1024)
	}
	u := &p.used[0]
	p.used = p.used[1:]
	r.Usage = &u.Usage
	r.Usage.Requests = int(p.varint())
	r.Usage.Input, r.Usage.CacheRead, r.Usage.CacheWrite = p.varint(), p.varint(), p.varint()
	r.Usage.Output, r.Usage.Reasoning = p.varint(), p.varint()
	if p.varint() != 0 {
		u.cost = p.varint()
		r.Usage.Cost = &u.cost
	}
}

// sessionRows gives the rows of the list, newest first: as they are remembered,
// with those of sessions of which something was recorded since made anew.
func (b *bench) sessionRows(ctx context.Context) ([]sessionRow, error) {
	known, err := b.rowsKnown(ctx)
	return known.Rows, err
}

func (b *bench) rowsPath() string { return filepath.Join(b.dir, rowsFile) }

// rowsKnown is sessionRows, with how far they tell.
func (b *bench) rowsKnown(ctx context.Context) (rememberedRows, error) {
	s, err := b.reading(ctx)
	if errors.Is(err, stemma.ErrNotFound) {
		return rememberedRows{}, nil
	}
	if err != nil {
		return rememberedRows{}, err
	}
	next, err := s.evidence.Next(ctx)
	if err != nil {
		return rememberedRows{}, err
	}
	kept, ok := readRows(b.rowsPath())
	switch {
	case !ok || kept.Next > next: // of other evidence
		kept = rememberedRows{}
	case kept.Next == next:
		return kept, nil
	}
	var rows []sessionRow
	_, err = b.toldSince(ctx, kept.Next, func(told []agent.Tale) error {
		for _, t := range told {
			rows = append(rows, rowOf(t))
		}
		return nil
	})
	if err != nil {
		return rememberedRows{}, err
	}
	if len(rows) == 0 && ok {
		return kept, nil
	}
	changed := make(map[string]*sessionRow, len(rows))
	rows = slices.Grow(rows, len(kept.Rows)) // which they stay in
	for i := range rows {
		changed[rows[i].Session] = &rows[i]
	}
	for i := range kept.Rows {
		if r := changed[kept.Rows[i].Session]; r != nil {
			r.wrote = kept.Rows[i].wrote // which the graph tells, and no statement
			delete(changed, r.Session)
			continue
		}
		rows = append(rows, kept.Rows[i])
	}
	if kept.Graph != "" {
		if err := b.askWrote(ctx, slices.Collect(maps.Values(changed))); err != nil {
			return rememberedRows{}, err
		}
	}
	newestFirst(rows)
	kept.Next, kept.Rows = next, rows
	// Where it can not be written the next list takes longer.
	_ = writeWhole(b.rowsPath(), writeRows(kept))
	return kept, nil
}

// writeWhole replaces a file, so that a reader sees the old or the new one.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rows-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
