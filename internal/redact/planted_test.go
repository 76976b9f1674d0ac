package redact_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"

	"filippo.io/age"
)

// The secrets below are made when the tests run, from parts: none is written in
// this file, and none is anybody's.

const (
	digits  = "0123456789"
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	base62  = digits + uppers + lowers
	hexes   = "0123456789abcdef"
	urlSafe = base62 + "-_"
)

// drawn draws n letters of an alphabet.
func drawn(r *rand.Rand, n int, letters string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func drawnBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func uuid(r *rand.Rand) string {
	b := drawnBytes(r, 16)
	b[6], b[8] = b[6]&15|64, b[8]&63|128
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// planted is a kind of secret: how it is made, and the texts it stands in, where
// %s is the secret. Without texts it is known by itself and stands anywhere.
type planted struct {
	kind string
	make func(r *rand.Rand) string
	in   []string
}

// anywhere are texts for secrets that are known by themselves.
var anywhere = []string{
	"use %s for the staging account please",
	"%s",
	"the call failed with 401, key was '%s'\n",
	"diff --git a/config.go b/config.go\nindex 3f1c2ab..9e0d4ff 100644\n--- a/config.go\n+++ b/config.go\n@@ -1,3 +1,4 @@\n package config\n+const key = \"%s\"\n",
	"   12→client := newClient(\"%s\", http.DefaultClient)\n   13→return client\n",
	"curl -s -H 'X-Key: %s' https://api.internal/v1/things",
	"{\"credentials\": {\"value\": \"%s\"}, \"retries\": 3}",
	"```\nSERVICE_CREDENTIAL=%s\n```",
}

var password = func(r *rand.Rand) string {
	return drawn(r, 4+r.IntN(6), lowers+uppers) + drawn(r, 2+r.IntN(3), digits) + drawn(r, 1+r.IntN(2), "!#%+^~") + drawn(r, r.IntN(6), base62)
}

func prefixed(prefix string, n int, letters string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return prefix + drawn(r, n, letters) }
}

func plain(n int, letters string) func(*rand.Rand) string { return prefixed("", n, letters) }

func base64Of(n int) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return base64.StdEncoding.EncodeToString(drawnBytes(r, n)) }
}

var plantedKinds = []planted{
	{"aws access key id", prefixed("AK"+"IA", 16, uppers+"234567"), nil},
	{"aws secret access key", base64Of(30), []string{
		"[default]\naws_secret_access_key = %s\nregion = eu-west-1\n", "export AWS_SECRET_ACCESS_KEY=%s\n", "  \"aws_secret_access_key\": \"%s\",",
	}},
	{"github token", func(r *rand.Rand) string {
		// The last six characters are the CRC-32 of the others, in base 62.
		body := drawn(r, 30, base62)
		sum, check := uint64(crc32.ChecksumIEEE([]byte(body))), ""
		for len(check) < 6 {
			check = string(base62[sum%62]) + check
			sum /= 62
		}
		return "gh" + []string{"p_", "o_", "s_", "u_"}[r.IntN(4)] + body + check
	}, nil},
	{"github fine-grained token", func(r *rand.Rand) string {
		return "github" + "_pat_" + drawn(r, 22, base62) + "_" + drawn(r, 59, base62)
	}, nil},
	{"gitlab token", prefixed("gl"+"pat-", 20, urlSafe), nil},
	{"slack bot token", func(r *rand.Rand) string {
		return "xo" + "xb-" + drawn(r, 12, digits[1:]) + "-" + drawn(r, 12, digits[1:]) + "-" + drawn(r, 24, base62)
	}, nil},
	{"slack webhook", func(r *rand.Rand) string {
		return "https://hooks." + "slack.com/services/T" + drawn(r, 10, uppers+digits) + "/B" + drawn(r, 10, uppers+digits) + "/" + drawn(r, 24, base62)
	}, nil},
	{"stripe key", func(r *rand.Rand) string { return "sk" + "_live_" + drawn(r, 24, base62) }, nil},
	{"openai key", func(r *rand.Rand) string {
		return "sk-" + "proj-" + drawn(r, 74, urlSafe) + "T3Blbk" + "FJ" + drawn(r, 74, base62)
	}, nil},
	{"anthropic key", func(r *rand.Rand) string { return "sk-" + "ant-api03-" + drawn(r, 93, urlSafe) + "AA" }, nil},
	{"google api key", prefixed("AI"+"za", 35, base62), nil},
	{"npm token", prefixed("npm"+"_", 36, base62), nil},
	{"pypi token", prefixed("pypi-"+"AgEIcHlwaS5vcmc", 80, urlSafe), nil},
	{"sendgrid key", func(r *rand.Rand) string { return "SG" + "." + drawn(r, 22, urlSafe) + "." + drawn(r, 43, urlSafe) }, nil},
	{"twilio key", prefixed("S"+"K", 32, hexes), nil},
	{"telegram bot token", func(r *rand.Rand) string { return drawn(r, 10, digits[1:]) + ":A" + drawn(r, 34, base62) }, []string{
		"TELEGRAM_BOT_TOKEN=%s\n", "telegram_token: \"%s\"\n", "bot = telegram.Bot(token=\"%s\")",
	}},
	{"discord token", plain(64, hexes), []string{"DISCORD_API_KEY=%s\n", "discord_key = '%s'\n"}},
	{"hugging face token", func(r *rand.Rand) string { return "hf" + "_" + drawn(r, 34, lowers+uppers) }, nil},
	{"databricks token", prefixed("da"+"pi", 32, hexes), nil},
	{"digitalocean token", prefixed("dop"+"_v1_", 64, hexes), nil},
	{"shopify token", prefixed("shp"+"at_", 32, hexes), nil},
	{"hashicorp vault token", prefixed("hv"+"s.", 95, base62), nil},
	{"age key", func(*rand.Rand) string {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			panic(err)
		}
		return id.String()
	}, nil},
	{"json web token", func(r *rand.Rand) string {
		part := base64.RawURLEncoding.EncodeToString
		head := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(fmt.Appendf(nil, `{"sub":"%s","iat":%d,"scope":"%s"}`, uuid(r), 1700000000+r.IntN(1e8), drawn(r, r.IntN(3)*1200, lowers)))
		mac := hmac.New(sha256.New, drawnBytes(r, 32))
		mac.Write([]byte(head))
		return head + "." + part(mac.Sum(nil))
	}, nil},
	{"private key, PKCS 8", func(*rand.Rand) string {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			panic(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE" + " KEY", Bytes: der}))
	}, nil},
	{"private key, EC", func(r *rand.Rand) string {
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append([]byte{0}, drawnBytes(r, 31)...))
		if err != nil {
			panic(err)
		}
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			panic(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE" + " KEY", Bytes: der}))
	}, []string{"cat key.pem\n%s\n", "here is it:\n\n%s", "%s"}},
	{"private key, SSH", func(r *rand.Rand) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE" + " KEY", Bytes: append([]byte("openssh-key-v1\x00"), drawnBytes(r, 380)...)}))
	}, []string{"$ cat ~/.ssh/id_ed25519\n%s$ ", "%s"}},
	{"private key, PGP", func(r *rand.Rand) string {
		return "-----BEGIN PGP PRIVATE" + " KEY BLOCK-----\n\n" + wrapped(base64.StdEncoding.EncodeToString(drawnBytes(r, 500)), "\n") + "\n=" + drawn(r, 4, base62) + "\n-----END PGP PRIVATE" + " KEY BLOCK-----"
	}, []string{"gpg --export-secret-keys\n%s\n"}},
	{"private key, cut off", func(r *rand.Rand) string {
		return "-----BEGIN RSA PRIVATE" + " KEY-----\n" + wrapped(base64.StdEncoding.EncodeToString(drawnBytes(r, 300)), "\n")
	}, []string{"head -7 key.pem\n%s\n\nand so on", "%s"}},
	{"private key, in an account file", func(r *rand.Rand) string {
		text, err := json.Marshal("-----BEGIN PRIVATE" + " KEY-----\n" + wrapped(base64.StdEncoding.EncodeToString(drawnBytes(r, 600)), "\n") + "\n-----END PRIVATE" + " KEY-----\n")
		if err != nil {
			panic(err)
		}
		return strings.Trim(string(text), `"`)
	}, []string{"{\n  \"type\": \"service_account\",\n  \"private_key\": \"%s\",\n  \"client_id\": \"1\"\n}\n"}},
	{"database url", password, []string{
		"DATABASE_URL=postgres://app:%s@db.internal:5432/app?sslmode=require\n", "mongodb+srv://root:%s@cluster0.mongodb.net/x", "amqp://guest2:%s@rabbit:5672/",
		"git clone https://ada:%s@git.internal/x.git",
	}},
	{"basic authorization", func(r *rand.Rand) string {
		return base64.StdEncoding.EncodeToString([]byte("user" + drawn(r, 3, digits) + ":" + password(r) + drawn(r, 4, base62)))
	}, []string{
		"> Authorization: Basic %s\n> Accept: */*\n", "curl -H 'Authorization: Basic %s' https://api.internal/", "headers = {\"Authorization\": \"Basic %s\"}",
	}},
	{"bearer token", plain(40, base62), []string{
		"> Authorization: Bearer %s\n", "curl -H \"Authorization: Bearer %s\" https://api.internal/", "fetch(url, {headers: {authorization: `Bearer %s`}})",
	}},
	{"password in the environment", password, []string{
		"DB_HOST=db\nDB_PASSWORD=%s\nDB_PORT=5432\n", "docker run -e POSTGRES_PASSWORD=%s postgres:16", "export ADMIN_PASSWD='%s'", "ENV REDIS_PASSWORD=%s\n",
	}},
	{"password in yaml", password, []string{
		"database:\n  host: db\n  password: %s\n  port: 5432\n", "auth:\n  username: ada\n  password: \"%s\"\n", "spring.datasource.password=%s\n",
	}},
	{"password in code", password, []string{
		"db.connect(host='db', user='app', password='%s')", "const dbPassword = \"%s\";\n", "+\tPassword: \"%s\",\n", "var smtp_passwd = '%s'", "\"password\": \"%s\"",
	}},
	{"api key in code", plain(32, hexes), []string{"apiKey: \"%s\",\n", "API_KEY = '%s'\n", "x-api-key: %s\n", "client_secret=%s\n"}},
	{"azure storage key", base64Of(64), []string{
		"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=%s;EndpointSuffix=core.windows.net", "AZURE_STORAGE_ACCOUNT_KEY=%s\n",
	}},
	{"azure client secret", func(r *rand.Rand) string {
		return drawn(r, 3, base62) + drawn(r, 1, digits) + "Q~" + drawn(r, 34, base62)
	}, nil},
	{"sql server connection", password, []string{"Server=tcp:db,1433;Database=x;User ID=sa;Password=%s;Encrypt=true;"}},
	{"heroku key", uuid, []string{"HEROKU_API_KEY=%s\n", "heroku_key: %s\n"}},
	{"cloudflare key", plain(40, lowers+digits), []string{"CLOUDFLARE_API_TOKEN=%s\n", "cloudflare_api_key = \"%s\"\n"}},
	{"datadog key", plain(40, hexes), []string{"DATADOG_APP_KEY=%s\n", "datadog_key: '%s'\n"}},
	{"new relic key", prefixed("NR"+"AK-", 27, uppers+digits), []string{"NEW_RELIC_USER_KEY=%s\n", "newrelic_key: \"%s\"\n"}},
	{"linear key", prefixed("lin"+"_api_", 40, base62), nil},
	{"grafana token", func(r *rand.Rand) string { return "gl" + "sa_" + drawn(r, 32, base62) + "_" + drawn(r, 8, hexes) }, nil},
	{"docker registry auth", func(r *rand.Rand) string { return base64.StdEncoding.EncodeToString([]byte("ada:" + password(r))) }, []string{
		"{\n\t\"auths\": {\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": \"%s\"\n\t\t}\n\t}\n}\n", "//npm.internal/:_auth=%s\n",
	}},
	{"netrc", password, []string{"machine api.internal login ada password %s\n", "machine api.internal\n  login ada\n  password %s\n"}},
	{"password hash", func(r *rand.Rand) string {
		return []string{"$2" + "b$12$" + drawn(r, 53, base62+"./"), "$6" + "$" + drawn(r, 16, base62) + "$" + drawn(r, 86, base62+"./")}[r.IntN(2)]
	}, []string{"root:%s:19700:0:99999:7:::\n", "ada:%s\n", "INSERT INTO users VALUES (1, '%s');"}},
	{"cookie", plain(48, base62), []string{"< Set-Cookie: session=%s; Path=/; HttpOnly\n", "> Cookie: sid=%s\n", "-H 'cookie: _session=%s'"}},
	{"signed url", plain(64, hexes), []string{
		"https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600&X-Amz-Signature=%s", "https://acc.blob.core.windows.net/c/b?sv=2024&sig=%s&se=2026",
	}},
	{"user and password of curl", password, []string{"curl -u admin:%s https://api.internal/", "curl --user 'admin:%s' https://api.internal/"}},
	{"password as an argument", password, []string{"mytool login --password=%s --user ada", "mytool login --password %s", "sshpass -p %s ssh ada@host"}},
	{"registry token", func(r *rand.Rand) string { return drawn(r, 36, base62) }, []string{"//npm.internal/:_authToken=%s\n"}},
	{"kubernetes secret", base64Of(24), []string{"apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  password: %s\n"}},
	{"drawn, without a name", func(r *rand.Rand) string { return drawn(r, 40, base62) }, []string{"use %s for it", "%s\n", "got %s back, try it"}},

	{"mail address", func(r *rand.Rand) string {
		return drawn(r, 5, lowers) + "." + drawn(r, 6, lowers) + "@" + drawn(r, 7, lowers) + []string{".com", ".io", ".co.uk", ".de"}[r.IntN(4)]
	}, []string{"please ask %s about it", "Author: Ada <%s>\n", "git config user.email %s", "mailto:%s?subject=x", "('%s', 1)"}},
	{"phone", func(r *rand.Rand) string {
		switch r.IntN(3) {
		case 0:
			return "+49 " + drawn(r, 1, "23456789") + drawn(r, 2, digits[1:]) + " " + drawn(r, 7, digits)
		case 1:
			return "+1-" + drawn(r, 1, "23456789") + "34-" + drawn(r, 1, "23456789") + "67-" + drawn(r, 4, digits)
		}
		return "(" + drawn(r, 1, "23456789") + "34) " + drawn(r, 1, "23456789") + "67-" + drawn(r, 4, digits)
	}, []string{"call me at %s tomorrow", "phone: %s\n", "tel=%s;"}},
	{"bank account", func(r *rand.Rand) string {
		country := []struct {
			name string
			n    int
		}{{"DE", 18}, {"NL", 14}, {"FR", 23}, {"AT", 16}}[r.IntN(4)]
		account := drawn(r, country.n, digits)
		if country.name == "NL" {
			account = drawn(r, 4, uppers) + account[4:]
		}
		return country.name + ibanCheck(country.name, account) + account
	}, []string{"transfer it to %s", "IBAN: %s\n", "iban='%s',"}},
	{"payment card", func(r *rand.Rand) string {
		n := []string{"4" + drawn(r, 14, digits), "5" + drawn(r, 1, "12345") + drawn(r, 13, digits), "37" + drawn(r, 12, digits)}[r.IntN(3)]
		for d := range 10 {
			if full := n + strconv.Itoa(d); luhnSum(full)%10 == 0 {
				n = full
				break
			}
		}
		if len(n) == 16 && r.IntN(2) == 0 {
			return n[:4] + " " + n[4:8] + " " + n[8:12] + " " + n[12:]
		}
		return n
	}, []string{"charge %s for it", "card: %s\n", "number='%s',"}},
	{"social security number", func(r *rand.Rand) string {
		return fmt.Sprintf("%03d-%02d-%04d", 100+r.IntN(500), 1+r.IntN(99), 1+r.IntN(9999))
	}, []string{"his SSN is %s", "ssn: %s\n"}},
	{"codice fiscale", codiceFiscale, []string{"CF %s", "codice_fiscale: %s\n"}},
	{"cadastro de pessoas", func(r *rand.Rand) string {
		d := drawn(r, 9, digits)
		for n := 9; n <= 10; n++ {
			sum := 0
			for i := range n {
				sum += int(d[i]-'0') * (n + 1 - i)
			}
			d += strconv.Itoa(sum * 10 % 11 % 10)
		}
		return d[:3] + "." + d[3:6] + "." + d[6:9] + "-" + d[9:]
	}, []string{"CPF %s", "cpf: %s\n"}},
}

func wrapped(text, newline string) string {
	var b strings.Builder
	for len(text) > 64 {
		b.WriteString(text[:64] + newline)
		text = text[64:]
	}
	return b.String() + text
}

func luhnSum(number string) int {
	sum := 0
	for i, c := range number {
		d := int(c - '0')
		if (len(number)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum
}

func ibanCheck(country, account string) string {
	var b strings.Builder
	for _, c := range account + country + "00" {
		if c >= 'A' {
			b.WriteString(strconv.Itoa(int(c-'A') + 10))
		} else {
			b.WriteRune(c)
		}
	}
	n, _ := new(big.Int).SetString(b.String(), 10)
	return fmt.Sprintf("%02d", 98-new(big.Int).Mod(n, big.NewInt(97)).Int64())
}

func codiceFiscale(r *rand.Rand) string {
	s := drawn(r, 6, uppers) + drawn(r, 2, digits) + drawn(r, 1, "ABCDEHLMPRST") + fmt.Sprintf("%02d", 1+r.IntN(28)) + drawn(r, 1, "ABCDEFGHIL") + drawn(r, 3, digits)
	odd := [...]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, c := range s {
		n := int(c - 'A')
		if c <= '9' {
			n = int(c - '0')
		}
		if i%2 == 0 {
			n = odd[n]
		}
		sum += n
	}
	return s + string(rune('A'+sum%26))
}

// tempting are texts without a secret that look as if they had one.
var tempting = []func(r *rand.Rand) string{
	func(r *rand.Rand) string {
		return "commit " + drawn(r, 40, hexes) + "\nAuthor: Ada <ada@example.com>\nDate:   Mon\n"
	},
	func(r *rand.Rand) string {
		return "index " + drawn(r, 7, hexes) + ".." + drawn(r, 7, hexes) + " 100644"
	},
	func(r *rand.Rand) string { return "HEAD is now at " + drawn(r, 12, hexes) + " fix the key handling" },
	func(r *rand.Rand) string { return "session " + uuid(r) + " resumed, parent " + uuid(r) },
	func(r *rand.Rand) string {
		return "![x](data:image/png;base64," + base64.StdEncoding.EncodeToString(drawnBytes(r, 90+r.IntN(2000))) + ")"
	},
	func(r *rand.Rand) string {
		return wrapped(base64.StdEncoding.EncodeToString(append([]byte("\x89PNG\r\n"), drawnBytes(r, 600)...)), "\n")
	},
	func(r *rand.Rand) string {
		return "golang.org/x/text v0." + drawn(r, 2, digits) + ".0 h1:" + base64.StdEncoding.EncodeToString(drawnBytes(r, 32)) + "\n"
	},
	func(r *rand.Rand) string {
		return "\"integrity\": \"sha512-" + base64.StdEncoding.EncodeToString(drawnBytes(r, 64)) + "\",\n"
	},
	func(r *rand.Rand) string {
		return "  resolved \"https://registry.yarnpkg.com/a/-/a-1.0.0.tgz#" + drawn(r, 40, hexes) + "\"\n"
	},
	func(r *rand.Rand) string { return "checksum = \"" + drawn(r, 64, hexes) + "\"\n" },
	func(r *rand.Rand) string { return "FROM alpine@sha256:" + drawn(r, 64, hexes) + "\n" },
	func(r *rand.Rand) string { return "toolu_01" + drawn(r, 22, base62) + " finished" },
	func(r *rand.Rand) string {
		return "call_" + drawn(r, 24, base62) + " and req_011" + drawn(r, 21, base62)
	},
	func(*rand.Rand) string { return "password: \"password\"\ntoken = 'test'\nsecret: changeme\n" },
	func(*rand.Rand) string {
		return "API_KEY=<your api key>\nTOKEN=${GITHUB_TOKEN}\nPASSWORD=$DB_PASSWORD\n"
	},
	func(*rand.Rand) string {
		return "const apiKey = process.env.API_KEY;\nconst secret = os.Getenv(\"SECRET\")\ntoken := parser.Next()\n"
	},
	func(*rand.Rand) string {
		return "func (p *Parser) token() Token { return p.tokens[p.pos] }\nvar keyLength = 32 // bytes of a key\n"
	},
	func(*rand.Rand) string {
		return "type Credentials struct {\n\tPassword string\n\tToken    string `json:\"token\"`\n}\n"
	},
	func(*rand.Rand) string {
		return "TestHandlerReturnsErrorWhenTokenIsExpired2ndTime and AbstractSingletonProxyFactoryBeanV2Adapter3"
	},
	func(*rand.Rand) string {
		return "/home/ada/src/github.com/stemma-dev/stemma/internal/store/sqlite/evidence/00001_envelope.sql"
	},
	func(r *rand.Rand) string {
		return "https://github.com/a/b/blob/" + drawn(r, 40, hexes) + "/x.go#L1-L20 and /commit/" + drawn(r, 40, hexes)
	},
	func(r *rand.Rand) string {
		return ".css-" + drawn(r, 6, lowers+digits) + " { color: #" + drawn(r, 6, hexes) + " } main." + drawn(r, 8, hexes) + ".js"
	},
	func(r *rand.Rand) string {
		return "2026-01-02T03:04:05.678Z took " + drawn(r, 4, digits[1:]) + "ms, id=1" + drawn(r, 12, digits) + " at 17" + drawn(r, 17, digits)
	},
	func(r *rand.Rand) string {
		return "ip 10.0." + drawn(r, 2, "123456789") + ".7, version 1.22.333-4444, build 2024." + drawn(r, 4, digits[1:])
	},
	func(*rand.Rand) string {
		return "noreply@github.com git@github.com:a/b.git user@example.com npm i @scope/pkg@1.2.3 icon@2x.png\n@app.route('/x')\n"
	},
	func(r *rand.Rand) string {
		return "pod/api-7d9f8b6c5d-" + drawn(r, 5, lowers+digits) + " Running, node ip-10-0-0-1.eu-west-1.compute.internal"
	},
	func(r *rand.Rand) string {
		return "arn:aws:iam::" + drawn(r, 12, digits[1:]) + ":role/deploy-role and bucket my-bucket-" + drawn(r, 12, digits)
	},
	func(r *rand.Rand) string {
		return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + drawn(r, 43, base62) + " ada@laptop"
	},
	func(r *rand.Rand) string {
		return "-----BEGIN CERTIFICATE-----\n" + wrapped(base64.StdEncoding.EncodeToString(drawnBytes(r, 700)), "\n") + "\n-----END CERTIFICATE-----\n"
	},
	func(r *rand.Rand) string {
		return "256 SHA256:" + drawn(r, 43, base62) + " ada@laptop (ED25519)"
	},
	func(r *rand.Rand) string {
		return "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA" + drawn(r, 43, base62) + "=\n-----END PUBLIC KEY-----"
	},
	func(*rand.Rand) string {
		return "key: app.kubernetes.io/name\n  keyPath: data/tls.crt\n  secretName: db-credentials\n"
	},
	func(*rand.Rand) string {
		return "key: ${{ runner.os }}-go-${{ hashFiles('**/go.sum') }}\nwith:\n  token: ${{ secrets.GITHUB_TOKEN }}\n"
	},
	func(r *rand.Rand) string {
		return "01" + drawn(r, 24, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") + " is a ulid"
	},
	func(*rand.Rand) string {
		return "max_tokens=4096 token_count: 1234, cache_read_input_tokens: 20000, keyboard_layout=qwertz"
	},
	func(r *rand.Rand) string {
		return "ETag: \"" + drawn(r, 32, hexes) + "\"\nX-Request-Id: " + uuid(r) + "\n"
	},
	func(*rand.Rand) string {
		return "--- PASS: TestSecretIsNotLogged (0.00s)\n--- FAIL: TestAuthTokenRefresh (0.12s)\n"
	},
	func(r *rand.Rand) string {
		return fmt.Sprintf("order %d%s shipped, tracking 1Z%s", 1+r.IntN(3), drawn(r, 15, digits), drawn(r, 16, uppers+digits))
	},
	func(r *rand.Rand) string {
		return "+1" + drawn(r, 9, digits) + "\n-" + drawn(r, 10, digits[1:]) + "\n 3.14159265358979\n"
	},
	func(r *rand.Rand) string {
		return "md5 " + hex.EncodeToString(drawnBytes(r, 16)) + "  file.tar.gz\nsha1 " + drawn(r, 40, hexes)
	},
}
