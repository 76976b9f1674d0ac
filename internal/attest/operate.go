package attest

// Deployment is an artifact, or a change of configuration, that was put into
// an environment.
type Deployment struct {
	Metadata
	ID          string       `json:"id"` // key of the deployment node
	Environment string       `json:"environment"`
	Service     string       `json:"service,omitempty"`
	Kind        string       `json:"kind"`    // artifact, configuration, flag
	Outcome     string       `json:"outcome"` // started, succeeded, failed, rolled-back
	Artifacts   []Artifact   `json:"artifacts,omitempty"`
	Commit      string       `json:"commit,omitempty"` // what the deploy system says it is built from
	Started     string       `json:"startedAt"`
	Finished    *string      `json:"finishedAt"`         // null while it runs
	Replaced    string       `json:"replaced,omitempty"` // id of the deployment before it
	By          *Party       `json:"by"`                 // null where not known
	Content     []Commitment `json:"content,omitempty"`
}

// Artifact is something built, by digest.
type Artifact struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

func (d Deployment) check(c *check) {
	d.Metadata.check(c, "")
	c.text("/id", d.ID)
	c.text("/environment", d.Environment)
	c.optional("/service", d.Service)
	c.oneOf("/kind", d.Kind, "artifact", "configuration", "flag")
	c.oneOf("/outcome", d.Outcome, "started", "succeeded", "failed", "rolled-back")
	c.need(d.Kind != "artifact" || len(d.Artifacts) > 0, "/artifacts", "no artifact")
	for i, a := range d.Artifacts {
		at := c.item("/artifacts", i)
		c.optional(at+"/uri", a.URI)
		c.need(len(a.Digest) > 0, at+"/digest", "no digest")
		c.digests(at+"/digest", a.Digest)
	}
	if d.Commit != "" {
		c.oid("/commit", d.Commit)
	}
	c.time("/startedAt", d.Started)
	c.timeOf("/finishedAt", d.Finished)
	c.optional("/replaced", d.Replaced)
	if d.By != nil {
		d.By.check(c, "/by")
	}
	c.commitments("/content", d.Content)
}

// Incident is the state of something that went wrong in an environment.
type Incident struct {
	Metadata
	ID          string       `json:"id"` // key of the incident node
	Environment string       `json:"environment"`
	Severity    string       `json:"severity"` // the source's word
	State       string       `json:"state"`    // open, mitigated, resolved
	Began       *string      `json:"beganAt"`  // null where not known
	Detected    string       `json:"detectedAt"`
	Resolved    *string      `json:"resolvedAt"` // null until then
	Services    []string     `json:"services,omitempty"`
	Deployments []string     `json:"deployments,omitempty"` // ids
	Causes      []Cause      `json:"causes,omitempty"`
	Content     []Commitment `json:"content,omitempty"`
}

// Cause is a commit that is held to have caused an incident.
type Cause struct {
	Commit      string  `json:"commit"`
	Method      string  `json:"method"`      // how it was found
	Confidence  float64 `json:"confidence"`  // between 0 and 1
	ConfirmedBy *Party  `json:"confirmedBy"` // null until somebody did
}

func (n Incident) check(c *check) {
	n.Metadata.check(c, "")
	c.text("/id", n.ID)
	c.text("/environment", n.Environment)
	c.text("/severity", n.Severity)
	c.oneOf("/state", n.State, "open", "mitigated", "resolved")
	c.timeOf("/beganAt", n.Began)
	c.time("/detectedAt", n.Detected)
	c.timeOf("/resolvedAt", n.Resolved)
	c.need((n.State == "resolved") == (n.Resolved != nil), "/resolvedAt", "a resolved incident has a time, another none")
	c.texts("/services", n.Services)
	c.texts("/deployments", n.Deployments)
	for i, k := range n.Causes {
		at := c.item("/causes", i)
		c.oid(at+"/commit", k.Commit)
		c.text(at+"/method", k.Method)
		c.need(k.Confidence >= 0 && k.Confidence <= 1, at+"/confidence", "want 0 to 1")
		if k.ConfirmedBy != nil {
			k.ConfirmedBy.check(c, at+"/confirmedBy")
		}
	}
	c.commitments("/content", n.Content)
}

// Waiver is a scoped, expiring exception to a check.
type Waiver struct {
	Metadata
	ID      string       `json:"id"` // key of the waiver node
	Policy  string       `json:"policy"`
	Check   string       `json:"check"`
	Scope   WaiverScope  `json:"scope"`
	By      Party        `json:"by"` // who grants it: a person
	From    string       `json:"notBefore"`
	Until   string       `json:"notAfter"`
	Content []Commitment `json:"content"` // the reason, at least
}

// WaiverScope says what a waiver covers: one change, or every change of a
// repository into a ref.
type WaiverScope struct {
	Repository string `json:"repository"`
	Change     string `json:"change,omitempty"`
	Into       string `json:"into,omitempty"`
}

func (w Waiver) check(c *check) {
	w.Metadata.check(c, "")
	c.text("/id", w.ID)
	c.text("/policy", w.Policy)
	c.text("/check", w.Check)
	c.text("/scope/repository", w.Scope.Repository)
	c.need((w.Scope.Change != "") != (w.Scope.Into != ""), "/scope", "a waiver covers a change or a ref")
	c.optional("/scope/change", w.Scope.Change)
	c.optional("/scope/into", w.Scope.Into)
	w.By.check(c, "/by")
	c.oneOf("/by/kind", w.By.Kind, "person")
	c.time("/notBefore", w.From)
	c.time("/notAfter", w.Until)
	c.need(w.From < w.Until, "/notAfter", "it ends before it begins")
	c.need(len(w.Content) > 0, "/content", "no reason")
	c.commitments("/content", w.Content)
}

// Erasure is a tombstone: content whose keys and salts were destroyed. Its
// subjects are the erased vault objects, sessions, the person or the class.
type Erasure struct {
	Metadata
	Of      string   `json:"of"`               // person, session, class
	Key     string   `json:"key"`              // pseudonym of the person, key of the session, class of retention
	Basis   string   `json:"basis"`            // the legal basis or the rule: "GDPR Art. 17", "retention"
	Reason  string   `json:"reason,omitempty"` // why, in words that name nobody
	By      Party    `json:"by"`
	Objects []string `json:"objects"`        // vault references that can not be opened any more; "vault:a/" is for all that begin so
	Keys    []string `json:"keys,omitempty"` // ids of the keys that were destroyed
	Kept    []Kept   `json:"kept,omitempty"` // what was not erased, and why
}

// Kept is content that an erasure did not reach.
type Kept struct {
	Object string `json:"object"`
	Why    string `json:"why"` // "hold <id>", "co-owned"
}

func (e Erasure) check(c *check) {
	e.Metadata.check(c, "")
	c.oneOf("/of", e.Of, "person", "session", "class")
	c.text("/key", e.Key)
	c.text("/basis", e.Basis)
	c.optional("/reason", e.Reason)
	e.By.check(c, "/by")
	c.texts("/objects", e.Objects)
	c.texts("/keys", e.Keys)
	for i, k := range e.Kept {
		c.text(c.item("/kept", i)+"/object", k.Object)
		c.text(c.item("/kept", i)+"/why", k.Why)
	}
}

// Hold says that a legal hold was placed or released. Its subjects are what is
// held, and the holds of the organisation.
type Hold struct {
	Metadata
	Hold   string `json:"hold"`   // its id
	Action string `json:"action"` // placed, released
	Of     string `json:"of"`     // person, session, all
	Key    string `json:"key"`    // pseudonym of the person, key of the session, "*" for all
	Reason string `json:"reason"` // why it must not be erased, in words that name nobody
	By     Party  `json:"by"`
}

func (h Hold) check(c *check) {
	h.Metadata.check(c, "")
	c.text("/hold", h.Hold)
	c.oneOf("/action", h.Action, "placed", "released")
	c.oneOf("/of", h.Of, "person", "session", "all")
	c.text("/key", h.Key)
	c.text("/reason", h.Reason)
	h.By.check(c, "/by")
}

// Receipt says that an envelope arrived, unchanged, over a channel. Its
// subjects are the envelopes, by the SHA-256 of their bytes.
type Receipt struct {
	Metadata
	Receiver  string `json:"receiver"`  // the server, by its name
	Channel   string `json:"channel"`   // webhook, api, upload, pull
	Principal string `json:"principal"` // who was authenticated, and how: "app:github/12345"
	Verified  bool   `json:"verified"`  // the envelope's own signature was good on arrival
	Log       *InLog `json:"log"`       // where the sender's log has it, else null
}

// InLog is a place in a transparency log.
type InLog struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
}

func (r Receipt) check(c *check) {
	r.Metadata.check(c, "")
	c.text("/receiver", r.Receiver)
	c.oneOf("/channel", r.Channel, "webhook", "api", "upload", "pull")
	c.text("/principal", r.Principal)
	if r.Log != nil {
		c.text("/log/origin", r.Log.Origin)
		c.need(r.Log.Index >= 0, "/log/index", "want 0 or more")
	}
}
