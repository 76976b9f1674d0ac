package git

// Commit is a commit as git stores it. Names and messages are bytes in
// whatever encoding their author used.
type Commit struct {
	ID        string   // full hex object id
	Tree      string   // full hex object id
	Parents   []string // full hex object ids, in order; of a shallow boundary: none
	Author    Signature
	Committer Signature
	Message   []byte // without the header, encoding header not applied
}

// Signature is the author or committer line of a commit.
type Signature struct {
	Name, Mail string
	Time       int64 // UTC seconds since 1970; 0 where git could not read it
}
