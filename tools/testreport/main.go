// Command testreport reads the output of "go test -json" and prints it as "go
// test" would have: one line for a package that passed, all there is to know
// about one that failed. At the end it names every test that was skipped, with
// its reason; where CI is "true" a skipped test is a failure.
//
//	go test -json ./... | testreport
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	ok, err := report(os.Stdin, os.Stdout, os.Getenv("CI") == "true")
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport: error:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// event is one line of "go test -json" (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string
	Output     string
}

// result is what was heard of one package so far.
type result struct {
	lines []line
	ended map[string]string // test -> pass, fail or skip
}

type line struct{ test, text string }

// report copies the results from r to w. It reports whether every package
// passed and, when strict, no test was skipped. Output that says nothing of any
// package is an error: nothing ran, so nothing passed.
func report(r io.Reader, w io.Writer, strict bool) (ok bool, err error) {
	out := bufio.NewWriter(w)
	defer func() { err = errors.Join(err, out.Flush()) }()

	ok = true
	running := map[string]*result{}
	packages, tests := 0, 0
	var skipped []string
	in := bufio.NewReader(r)
	for {
		text, readErr := in.ReadString('\n')
		if readErr != nil && readErr != io.EOF {
			return false, readErr
		}
		if text == "" {
			break
		}
		var e event
		if json.Unmarshal([]byte(text), &e) != nil {
			out.WriteString(text) // the go command speaks for itself: a download, an error
			continue
		}
		if e.Action == "build-output" {
			out.WriteString(e.Output)
			continue
		}
		if e.Action == "build-fail" {
			ok = false
			continue
		}
		p := running[e.Package]
		if p == nil {
			p = &result{ended: map[string]string{}}
			running[e.Package] = p
		}
		switch e.Action {
		case "output":
			p.lines = append(p.lines, line{e.Test, e.Output})
		case "pass", "fail", "skip":
			if e.Test != "" {
				tests++
				p.ended[e.Test] = e.Action
				if e.Action == "skip" {
					skipped = append(skipped, e.Package+" "+e.Test+": "+p.reason(e.Test))
				}
				continue
			}
			packages++
			ok = ok && e.Action != "fail"
			p.print(out, e.Action == "fail")
			if err := out.Flush(); err != nil {
				return false, err
			}
			delete(running, e.Package)
		}
		if readErr == io.EOF {
			break
		}
	}

	for name, p := range running {
		fmt.Fprintf(out, "FAIL\t%s\tended without a result\n", name)
		p.print(out, true)
		ok = false
	}
	if packages == 0 && ok {
		return false, errors.New("no package was tested")
	}
	fmt.Fprintf(out, "%d packages, %d tests, %d skipped\n", packages, tests, len(skipped))
	for _, s := range skipped {
		fmt.Fprintf(out, "SKIP\t%s\n", s)
	}
	if strict && len(skipped) > 0 {
		fmt.Fprintln(out, "FAIL\tCI=true: no test may be skipped")
		ok = false
	}
	return ok, nil
}

// print writes what go test would have written without -v.
func (p *result) print(w *bufio.Writer, failed bool) {
	for _, l := range p.lines {
		// A test that passed or was skipped is quiet. One that never ended
		// was running when its process died, which is worth every word.
		if quiet := p.ended[l.test]; l.test != "" && (!failed || quiet == "pass" || quiet == "skip") {
			continue
		}
		if verbose(l.text) || !failed && !summary(l.text) {
			continue
		}
		w.WriteString(l.text)
	}
}

// reason is what a test said when it was skipped.
func (p *result) reason(test string) string {
	var said []string
	for _, l := range p.lines {
		if l.test == test && !verbose(l.text) && !strings.Contains(l.text, "--- SKIP: ") {
			said = append(said, strings.TrimSpace(l.text))
		}
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

// verbose reports whether a line is there only because -json asks for -v.
func verbose(text string) bool {
	for _, mark := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(text, mark) {
			return true
		}
	}
	return false
}

// summary reports whether a line is the result of a whole package.
func summary(text string) bool {
	return strings.HasPrefix(text, "ok  \t") || strings.HasPrefix(text, "?   \t") || strings.HasPrefix(text, "\t")
}
