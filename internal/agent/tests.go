package agent

import (
	"regexp"
	"strconv"
	"strings"
)

// testTools are the commands that run tests, the more special ones first. They
// are looked for at the beginning of a command or behind what joins commands.
var testTools = []struct {
	tool string
	word *regexp.Regexp
}{
	{"go test", command(`(?:gotestsum|go(?: tool)? test)`)},
	{"cargo test", command(`cargo (?:test|nextest)`)},
	{"pytest", command(`(?:python3? -m |uv run |poetry run )?(?:pytest|py\.test)`)},
	{"unittest", command(`python3? -m unittest`)},
	{"tox", command(`(?:tox|nox)`)},
	{"vitest", command(`(?:npx |pnpm |yarn |bunx )?vitest`)},
	{"jest", command(`(?:npx |pnpm |yarn |bunx )?jest`)},
	{"npm test", command(`(?:npm|pnpm|yarn|bun)(?: run)? test[\w:-]*`)},
	{"playwright", command(`(?:npx |pnpm |yarn )?playwright test`)},
	{"mvn test", command(`(?:\./)?mvnw? [^|;&]*\b(?:test|verify)`)},
	{"gradle test", command(`(?:\./)?gradlew? [^|;&]*\b(?:test|check)`)},
	{"ctest", command(`ctest`)},
	{"rspec", command(`(?:bundle exec )?rspec`)},
	{"phpunit", command(`(?:\./)?(?:vendor/bin/)?(?:phpunit|pest)`)},
	{"dotnet test", command(`dotnet test`)},
	{"bazel test", command(`bazel(?:isk)? test`)},
	{"mix test", command(`mix test`)},
	{"swift test", command(`swift test`)},
	{"deno test", command(`deno test`)},
	{"mise test", command(`mise (?:run |r )?test[\w:-]*`)},
	{"make test", command(`(?:make|just|task) [^|;&]*\b(?:test|check)[\w:-]*`)},
}

// command matches words at the beginning of a command, behind settings of
// variables and the like.
func command(words string) *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[;&|(\n]\s*)(?:\w+=\S* |time |sudo |env |CI=1 |timeout \S+ )*` + words + `(?:$|[\s;&|)])`)
}

// testOf tells whether a command runs tests.
func testOf(text string) *Test {
	if len(text) > 64<<10 || !strings.Contains(text, "test") && !strings.Contains(text, "spec") &&
		!strings.Contains(text, "check") && !strings.Contains(text, "tox") && !strings.Contains(text, "nox") &&
		!strings.Contains(text, "jest") && !strings.Contains(text, "verify") && !strings.Contains(text, "phpunit") {
		return nil
	}
	for _, t := range testTools {
		if t.word.MatchString(text) {
			return &Test{Tool: t.tool}
		}
	}
	return nil
}

var (
	passedCount = regexp.MustCompile(`(?m)(\d+) (?:passed|passing)\b`)
	failedCount = regexp.MustCompile(`(?m)(\d+) (?:failed|failing)\b`)
	goPassed    = regexp.MustCompile(`(?m)^(?:ok  \t|--- PASS)`)
	goFailed    = regexp.MustCompile(`(?m)^(?:FAIL\t|--- FAIL)`)
	goEnd       = regexp.MustCompile(`(?m)^(?:FAIL|ERROR task failed)\b`)
)

// Ran fills in how a command ended. output is what it printed; failed says that
// the transcript calls it failed; exit is its status where the transcript has it.
//
// The status of a command behind a pipe is not that of the tests: there only
// what the tests printed counts.
func (c *Call) Ran(output string, failed bool, exit *int) {
	c.Outcome = OutcomeOK
	if failed || exit != nil && *exit != 0 {
		c.Outcome = OutcomeError
	}
	c.Exit = exit
	if c.Test == nil {
		return
	}
	if len(output) > 256<<10 {
		output = output[len(output)-256<<10:]
	}
	c.Test.Passed, c.Test.Failed = count(passedCount, output), count(failedCount, output)
	if c.Test.Passed+c.Test.Failed == 0 {
		c.Test.Passed = len(goPassed.FindAllStringIndex(output, -1))
		c.Test.Failed = len(goFailed.FindAllStringIndex(output, -1))
	}
	masked := c.Command != nil && strings.ContainsAny(c.Command.Text, "|;")
	switch {
	case c.Test.Failed > 0 || goEnd.MatchString(output) || c.Outcome == OutcomeError && !masked:
		c.Test.Result = "fail"
	case c.Test.Passed > 0 || c.Outcome == OutcomeOK && !masked && exit != nil:
		c.Test.Result = "pass"
	case c.Outcome == OutcomeError:
		c.Test.Result = "fail"
	}
}

// count adds up the numbers that a pattern finds.
func count(pattern *regexp.Regexp, text string) int {
	sum := 0
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err == nil && n < 1<<20 {
			sum += n
		}
	}
	return sum
}
