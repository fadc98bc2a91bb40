package cli_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postlink/cmd/postlink/internal/cli"
)

func TestTheNearestNameIsSuggested(t *testing.T) {
	t.Parallel()
	names := []string{"cancelled-flights", "lost-luggage", "rude-staff", "purchase"}
	for name, test := range map[string]struct{ wrong, want string }{
		"a letter is missing":       {"rude-staf", "rude-staff"},
		"two letters are swapped":   {"purhcase", "purchase"},
		"upper case":                {"Lost-Luggage", "lost-luggage"},
		"the beginning of a name":   {"can", "cancelled-flights"},
		"nothing is near":           {"weather", ""},
		"nothing was given":         {"", ""},
		"short words need to match": {"xy", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := cli.Nearest(test.wrong, names); got != test.want {
				t.Errorf("for %q: %q, want %q", test.wrong, got, test.want)
			}
		})
	}
	if got := cli.DidYouMean("weather", names); got != "; there are: cancelled-flights, lost-luggage, rude-staff, purchase" {
		t.Errorf("where nothing is near: %q", got)
	}
	if got := cli.DidYouMean("weather", nil); got != "" {
		t.Errorf("where there are no names: %q", got)
	}
	if got := cli.Known(strings.Split(strings.Repeat("a,", 20), ",")); !strings.HasSuffix(got, "and 9 more") {
		t.Errorf("of many names: %q", got)
	}
}

func TestAChoiceNamesItsWords(t *testing.T) {
	t.Parallel()
	c := cli.Choice{Of: []string{"queued", "linked", "dead"}}
	if err := c.Set("linkd"); err == nil || err.Error() != "did you mean linked? choose one of queued, linked, dead" {
		t.Errorf("a word that is near: %v", err)
	}
	if err := c.Set("purple"); err == nil || err.Error() != "choose one of queued, linked, dead" {
		t.Errorf("another word: %v", err)
	}
	if err := c.Set("dead"); err != nil || c.Value != "dead" {
		t.Errorf("one of them: %v, %q", err, c.Value)
	}
}

func TestAnErrorOfAFileSaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, missing := os.Open(filepath.Join(dir, "posts.ndjson"))
	_, folder := os.ReadFile(dir)
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"it is not there":      {missing, "there is no file posts.ndjson; name a file of posts"},
		"it is a folder":       {folder, "posts.ndjson is a folder; name a file of posts"},
		"it may not be read":   {fs.ErrPermission, "posts.ndjson may not be read by this user; change its permissions, or name another"},
		"for any other reason": {errors.New("broken disk"), "open posts.ndjson: broken disk; name a file of posts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := cli.FileError("posts.ndjson", "a file of posts", test.err)
			var coded *cli.CodedError
			if !errors.As(err, &coded) || coded.Code != cli.ExitUsage || err.Error() != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	if err := cli.Exists("a folder", dir); err != nil {
		t.Errorf("a folder that is there: %v", err)
	}
}

func TestAPortInUseSaysHowToChooseAnother(t *testing.T) {
	t.Parallel()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, inUse := net.Listen("tcp", first.Addr().String())
	_, wrong := net.Listen("tcp", "nowhere")
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"in use":        {inUse, "another program uses this address; stop it, or choose another with --listen"},
		"no address":    {wrong, "write it as 127.0.0.1:8080, with --listen"},
		"a privilege":   {os.NewSyscallError("bind", os.ErrPermission), "with --listen"},
		"anything else": {errors.New("odd"), "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := cli.ListenError(cli.ExitConfig, "there", "--listen", test.err)
			var coded *cli.CodedError
			if !errors.As(err, &coded) || coded.Code != cli.ExitConfig || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
