//go:build !unix

package sqlite

// mayRead cannot tell on this system.
func mayRead(string) error { return nil }
