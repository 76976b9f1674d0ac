package attest

// Access says that content of a session was opened for somebody whose session it
// is not. It is recorded before anything is shown. Its subject is the session.
type Access struct {
	Metadata
	Session string   `json:"session"` // key of the session's node
	By      Party    `json:"by"`      // who asked for it
	Owners  []string `json:"owners"`  // pseudonyms of the people whose session it is
	Reason  string   `json:"reason"`  // in words that name nobody
	Objects []string `json:"objects"` // vault references that were opened
}

func (a Access) check(c *check) {
	a.Metadata.check(c, "")
	c.text("/session", a.Session)
	a.By.check(c, "/by")
	c.texts("/owners", a.Owners)
	c.text("/reason", a.Reason)
	c.need(len(a.Objects) > 0, "/objects", "nothing was opened")
	c.texts("/objects", a.Objects)
}
