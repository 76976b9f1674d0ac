package redact_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stemma-dev/stemma/internal/redact"
	"github.com/stemma-dev/stemma/internal/redact/gitleaks"
)

// redactor is the one that stemma uses. It is made once: its rules are compiled
// when they are first needed.
var redactor = redact.New(&gitleaks.Detector{})

func TestText(t *testing.T) {
	tests := []struct {
		name, in, want string
		found          redact.Findings
	}{
		{"nothing", "func main() {}\n", "func main() {}\n", redact.Findings{}},
		{"empty", "", "", redact.Findings{}},
		{"mail", "ask ada@lovelace.io, not noreply@lovelace.io or ada@example.org", "ask [redacted:email], not noreply@lovelace.io or ada@example.org", redact.Findings{"email": 1}},
		{"no mail", "git@github.com:a/b icon@2x.png react@18.2.0 @decorator.method", "git@github.com:a/b icon@2x.png react@18.2.0 @decorator.method", redact.Findings{}},
		{"phone", "call +49 30 12345678 or (212) 456-7890", "call [redacted:phone] or [redacted:phone]", redact.Findings{"phone": 2}},
		{"added number", "+1234567890\n-9876543210\n", "+1234567890\n-9876543210\n", redact.Findings{}},
		{"iban", "to DE89 3704 0044 0532 0130 00, not DE88 3704 0044 0532 0130 00", "to [redacted:iban], not DE88 3704 0044 0532 0130 00", redact.Findings{"iban": 1}},
		{"card", "card 4539-1488-0343-6467 and 4539 1488 0343 6468", "card [redacted:payment-card] and 4539 1488 0343 6468", redact.Findings{"payment-card": 1}},
		{"environment", "export DB_PASSWORD=hunter2!xyz\n", "export DB_PASSWORD=[redacted:password]\n", redact.Findings{"password": 1}},
		{"variable", "DB_PASSWORD=$OTHER\nPASSWORD=${X}\nTOKEN=<your token>\n", "DB_PASSWORD=$OTHER\nPASSWORD=${X}\nTOKEN=<your token>\n", redact.Findings{}},
		{"url", "postgres://app:pw12345@db/x", "postgres://app:[redacted:url-password]@db/x", redact.Findings{"url-password": 1}},
		{"twice", "DB_PASSWORD=[redacted:password]", "DB_PASSWORD=[redacted:password]", redact.Findings{}},
		{"bytes", "\xff\xfe\x00DB_PASSWORD=hunter2!xyz\x00\xff", "\xff\xfe\x00DB_PASSWORD=[redacted:password]", nil},
	}
	for _, tt := range tests {
		got, found := redactor.Text([]byte(tt.in))
		if !strings.HasPrefix(string(got), tt.want) || tt.found != nil && string(got) != tt.want {
			t.Errorf("%s: Text(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
		if d := cmp.Diff(tt.found, found); tt.found != nil && d != "" {
			t.Errorf("%s: findings (-want +got):\n%s", tt.name, d)
		}
	}
}

func TestJSON(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing", ` {"a": [1, 2.50, true, null, "x"]} `, ` {"a": [1, 2.50, true, null, "x"]} `},
		{"name", `{"password":"abc def", "n":1e5}`, `{"password":"[redacted:password]", "n":1e5}`},
		{"number under a name", `{"password":12345,"token":null}`, `{"password":12345,"token":null}`},
		{"list under a name", `{"tokens":["a"],"token":["abcd"]}`, `{"tokens":["a"],"token":["[redacted:token]"]}`},
		{"escapes", `{"m":"DB_PASSWORD=hun\u0074er2!\u0078yz\nrest\u00e9"}`, `{"m":"DB_PASSWORD=[redacted:password]\nrest\u00e9"}`},
		{"half of a pair", `{"m":"\ud83d ada@lovelace.io \ud83d\ude00"}`, `{"m":"\ud83d [redacted:email] \ud83d\ude00"}`},
		{"document in a string", `{"arguments":"{\"db\":{\"password\":\"a\\\"b c\"}}"}`, `{"arguments":"{\"db\":{\"password\":\"[redacted:password]\"}}"}`},
		{"pair", `{"headers":[{"name":"Authorization","value":"Basic abc"},{"value":"secretvalue","name":"X_TOKEN","n":1}]}`, `{"headers":[{"name":"Authorization","value":"[redacted:authorization]"},{"value":"[redacted:token]","name":"X_TOKEN","n":1}]}`},
		{"names", `{"ada@lovelace.io":1,"bob@lovelace.io":2,"x":{"c@lovelace.io":3}}`, `{"[redacted:email]":1,"[redacted:email#2]":2,"x":{"[redacted:email]":3}}`},
		{"counts", `{"max_tokens":5,"input_tokens":"1","token_type":"bearer","next_page_token":"abcdef"}`, `{"max_tokens":5,"input_tokens":"1","token_type":"bearer","next_page_token":"abcdef"}`},
		{"cut off", `{"env":"A=1\nDB_PASSWORD=hunter2!x\nB=2`, `{"env":"A=1\nDB_PASSWORD=[redacted:password]\nB=2`},
		{"broken", `{"password":"abcdefgh","x`, `{"password":"[redacted:password]","x`},
	}
	for _, tt := range tests {
		got, _ := redactor.JSON([]byte(tt.in))
		if string(got) != tt.want {
			t.Errorf("%s: JSON(%s) = %s, want %s", tt.name, tt.in, got, tt.want)
		}
		if json.Valid([]byte(tt.in)) != json.Valid(got) {
			t.Errorf("%s: JSON(%s) = %s, which is no JSON", tt.name, tt.in, got)
		}
	}
}

// The version that is kept with content is that of the module that was linked.
func TestGitleaksVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, v, _ := strings.Cut((&gitleaks.Detector{}).Version(), "/")
	if !strings.Contains(string(mod), "github.com/zricethezav/gitleaks/v8 v"+v+"\n") {
		t.Errorf("the rules call themselves %s, go.mod says otherwise", v)
	}
	if got := redactor.Rules(); got != "stemma/1 gitleaks/"+v {
		t.Errorf("Rules = %q", got)
	}
}
