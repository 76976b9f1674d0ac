package vault

// SessionName is the name of a session's folder.
func (v *Vault) SessionName(session string) string { return v.sessionName(session) }
