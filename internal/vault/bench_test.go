package vault_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stemma-dev/stemma/internal/vault"
)

func benchVault(b *testing.B) *vault.Vault {
	b.Helper()
	v, err := vault.Open(b.Context(), home(b.TempDir()).config())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Close() })
	return v
}

// transcriptOf makes some text that compresses as transcripts do.
func transcriptOf(n, size int) []byte {
	var text strings.Builder
	for i := 0; text.Len() < size; i++ {
		fmt.Fprintf(&text, `{"type":"assistant","uuid":"%08x-%04x","message":{"content":"line %d of turn %d"}}`+"\n", i*2654435761%4294967291, i, i, n)
	}
	return []byte(text.String()[:size])
}

// BenchmarkPut puts one piece of 4 KB, durably.
func BenchmarkPut(b *testing.B) {
	v := benchVault(b)
	i := 0
	for b.Loop() {
		c := answer("claude-code/1", "", ada)
		c.Bytes = transcriptOf(i, 4<<10)
		if _, err := v.Put(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkPutAll puts 100 pieces of 4 KB of ten sessions at once, durably.
func BenchmarkPutAll(b *testing.B) {
	v := benchVault(b)
	i := 0
	b.SetBytes(100 * 4 << 10)
	for b.Loop() {
		var all []vault.Content
		for range 100 {
			c := answer(fmt.Sprintf("claude-code/%d", i%10), "", ada)
			c.Bytes = transcriptOf(i, 4<<10)
			all = append(all, c)
			i++
		}
		if _, err := v.PutAll(b.Context(), all); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens a piece of 1 MB.
func BenchmarkOpen(b *testing.B) {
	v := benchVault(b)
	c := answer("claude-code/1", "", ada)
	c.Bytes = transcriptOf(0, 1<<20)
	ref, err := v.Put(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := v.Open(b.Context(), ref.URI); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEraseSession erases a session of three pieces, with its keys, durably.
func BenchmarkEraseSession(b *testing.B) {
	v := benchVault(b)
	i := 0
	for b.Loop() {
		b.StopTimer()
		session := fmt.Sprintf("claude-code/%d", i)
		for n := range 3 {
			if _, err := v.Put(b.Context(), answer(session, fmt.Sprint("text ", n), ada)); err != nil {
				b.Fatal(err)
			}
		}
		i++
		b.StartTimer()
		if _, err := v.EraseSession(b.Context(), request(session)); err != nil {
			b.Fatal(err)
		}
	}
}
