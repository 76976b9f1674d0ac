package stemma

import "strings"

// Model is a model as a source named it. The zero Model means that no model
// is known; see [ParseModel].
type Model struct {
	// Provider is the maker of the model in lower case ("anthropic"), or ""
	// where the name does not tell.
	Provider string `json:"provider"`
	// ID is the model's name in lower case as the agent reported it
	// ("claude-opus-4-5-20251101"), without provider and decoration.
	ID string `json:"id"`
	// Exact says that ID is an identifier the agent reported, and not made from
	// a display name ("Claude Opus 4.5"), which leaves the release open.
	Exact bool `json:"exact"`
	// Raw is the text of the source, unchanged.
	Raw string `json:"raw"`
}

// Known reports whether m names a model.
func (m Model) Known() bool { return m.ID != "" }

// Key is the natural key of the model's node, "provider/id", with "unknown"
// for a provider that the name does not tell. It is "" for no model.
func (m Model) Key() string {
	if !m.Known() {
		return ""
	}
	provider := m.Provider
	if provider == "" {
		provider = "unknown"
	}
	return strings.ToLower(provider + "/" + m.ID)
}
