package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"postlink/cmd/postlink/internal/cli"
)

// newTerminal makes a terminal of so many columns: what is written to screen is read from keyboard's other side.
func newTerminal(t *testing.T, columns uint16) (screen, other *os.File) {
	t.Helper()
	other, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	fd := int(other.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	return screen, other
}

// shown is what stands on a terminal, up to a mark that is written last.
func shown(t *testing.T, screen, other *os.File) string {
	t.Helper()
	const mark = "<end>"
	if _, err := screen.WriteString(mark); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	part := make([]byte, 4096)
	for !strings.Contains(text.String(), mark) {
		n, err := other.Read(part)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(part[:n])
	}
	before, _, _ := strings.Cut(strings.ReplaceAll(text.String(), "\r\n", "\n"), mark)
	return before
}

func TestATableIsAsWideAsItsTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []uint16{50, 80, 200} {
		screen, other := newTerminal(t, columns)
		if got := cli.Columns(screen); got != int(columns) || !cli.IsTerminal(screen) {
			t.Errorf("%d columns, a terminal: %v; want %d", got, cli.IsTerminal(screen), columns)
		}
		cmd := &cobra.Command{}
		cmd.SetOut(screen)
		err := cli.List(cmd, false, cli.Table[[]string]{Columns: letterColumns, Row: func(row []string) []string { return row }}, letters)
		if err != nil {
			t.Fatal(err)
		}
		text := shown(t, screen, other)
		for line := range strings.Lines(text) {
			if w := cli.Width(strings.TrimSuffix(line, "\n")); w > int(columns) {
				t.Errorf("a line of %d columns on a terminal of %d: %s", w, columns, line)
			}
		}
		if words := strings.Join(strings.Fields(text), " "); !strings.Contains(words, "0x80044331") || !strings.Contains(words, "characters.") {
			t.Errorf("code or cause are cut on %d columns:\n%s", columns, text)
		}
	}
}

func TestAMeterIsGoneWhenTheWorkIsDone(t *testing.T) {
	t.Parallel()
	screen, other := newTerminal(t, 80)
	m := cli.NewMeter(screen, "posts published")
	m.Show(1, 3)
	m.Show(2, 0)
	m.Done()
	if got := shown(t, screen, other); got != "\r\x1b[K1 of 3 posts published\r\x1b[K2 posts published\r\x1b[K" {
		t.Errorf("%q", got)
	}
	var file bytes.Buffer
	m = cli.NewMeter(&file, "posts published")
	m.Show(1, 3)
	m.Done()
	if file.Len() > 0 || cli.Columns(&file) != 0 {
		t.Errorf("a file that is no terminal got %q", file.String())
	}
}

func TestAQuestionIsAnsweredOnATerminal(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{"y\n": nil, "YES\n": nil, "n\n": cli.ErrDeclined, "\n": cli.ErrDeclined, "\x04": cli.ErrDeclined} {
		screen, other := newTerminal(t, 80)
		cmd, _, talk := command()
		cmd.SetIn(screen)
		if _, err := other.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		var c cli.Confirmation
		asked := make(chan error, 1)
		go func() { asked <- c.Ask(cmd, "Delete it?") }()
		select {
		case err := <-asked:
			if !errors.Is(err, want) || !strings.Contains(talk.String(), "Delete it? [y/N] ") {
				t.Errorf("answer %q: %v, said %q", answer, err, talk)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("answer %q: still asking", answer)
		}
	}
}

func TestWhereNobodyCanBeAskedOnlyYesAgrees(t *testing.T) {
	t.Parallel()
	cmd, _, _ := command()
	cmd.SetIn(strings.NewReader("y\n"))
	var c cli.Confirmation
	err := c.Ask(cmd, "Delete it?")
	if cli.ExitCode(err) != cli.ExitUsage || !strings.Contains(err.Error(), "Delete it?") || !strings.Contains(err.Error(), "add --yes") {
		t.Errorf("%v", err)
	}
	c.Yes = true
	if err := c.Ask(cmd, "Delete it?"); err != nil {
		t.Errorf("with --yes: %v", err)
	}
}
