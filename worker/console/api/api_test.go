package api_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postlink/worker/console/api"
)

// Programs that only ask must not link the server: the package imports the standard library alone.
func TestThePackageNeedsNothingButTheStandardLibrary(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			seen++
			first, _, _ := strings.Cut(strings.Trim(spec.Path.Value, `"`), "/")
			if strings.Contains(first, ".") || first == "postlink" {
				t.Errorf("%s imports %s", f.Name(), spec.Path.Value)
			}
		}
	}
	if seen == 0 {
		t.Error("no imports were found")
	}
}

func TestAKindIsReadFromTypesOfPostlinkOnly(t *testing.T) {
	t.Parallel()
	for problemType, want := range map[string]string{
		api.ProblemType + api.KindInUse: api.KindInUse,
		"about:blank":                   "",
		"":                              "",
	} {
		if got := (&api.Problem{Type: problemType}).Kind(); got != want {
			t.Errorf("kind of %q is %q, want %q", problemType, got, want)
		}
	}
}

// Members without a value are absent, so that they are never mistaken for a time or a count.
func TestWhatIsNotKnownIsAbsent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value any
		want  string // the members that stay
	}{
		"an instance":   {api.Instance{}, "auth default enabled entities name url"},
		"a link":        {api.Link{}, "changed_at decided_at entity generation id instance post post_id state steps"},
		"a post":        {api.Post{}, "linked name"},
		"a dead letter": {api.DeadLetter{}, "at kind reason sequence"},
		"a difference":  {api.Difference{}, "kind name op text"},
		"a plan":        {api.Plan{}, "changes"},
		"a parked instance": {
			api.Instance{Parked: "no", NextTry: time.Unix(1, 0), Waiting: 3, Oldest: time.Unix(1, 0)},
			"auth default enabled entities name next_try oldest parked url waiting",
		},
	} {
		text, err := json.Marshal(c.value)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(members)), " "); got != c.want {
			t.Errorf("%s has %s, want %s", name, got, c.want)
		}
	}
}
