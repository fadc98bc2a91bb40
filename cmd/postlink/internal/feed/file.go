// Package feed reads files of posts, one JSON document a line, and publishes them to the posts stream: at a given rate, and in
// such a way that whoever is interrupted knows the line to go on from.
//
// A file is first recognised as a whole (Open), then its lines can be checked (Check), then they are sent (Publish). Each reads it
// from the beginning; a file that others change meanwhile is sent as it is then. Lines are counted from 1, blank ones included, and
// blank lines are no posts. A post is sent as the bytes of its line, without the line's end.
package feed

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"postlink/payload"
)

const (
	maxLine  = 1 << 20 // bytes of the longest post: what one NATS message may hold
	sniffed  = 1 << 20 // bytes at the start of a file from which a mistake in its format is recognised
	reported = 5       // lines that are no posts and are named in an error
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// File is a file of posts. It can be read several times, by one goroutine at a time. Close it at the end. Only Close removes a copy
// of standard input: a process that is killed leaves it in the folder for temporary files.
type File struct {
	name   string
	packed bool
	file   *os.File
	spool  string // a temporary copy of standard input, to be removed; else empty
}

// Open opens a file of posts; one whose name ends in .gz is unpacked. Stdin reads in to its end first, so that all of it can be
// checked before any of it is sent. A file that holds something else, such as an array, is refused with a *FormatError; a file that
// is not there, or is a folder, with the error of the system.
func Open(path string, in io.Reader) (*File, error) {
	f := &File{name: path, packed: strings.HasSuffix(path, ".gz")}
	var err error
	if path == Stdin {
		f.name = "standard input"
		err = f.spoolFrom(in)
	} else {
		f.file, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	if err := f.recognise(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Text makes a file of posts out of a text. It is trusted: nothing is recognised. It is kept in a temporary file like standard
// input, so that there is one way to read a file.
func Text(name string, posts []byte) (*File, error) {
	f := &File{name: name}
	if err := f.spoolFrom(bytes.NewReader(posts)); err != nil {
		return nil, err
	}
	return f, nil
}

// spoolFrom copies all of in to a temporary file, which Close removes.
func (f *File) spoolFrom(in io.Reader) error {
	spool, err := os.CreateTemp("", "postlink-posts-")
	if err != nil {
		return fmt.Errorf("keep %s: %w", f.name, err)
	}
	f.file, f.spool = spool, spool.Name()
	if _, err := io.Copy(spool, in); err != nil {
		return errors.Join(fmt.Errorf("read %s: %w", f.name, err), f.Close())
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	err := f.file.Close()
	if f.spool != "" {
		err = errors.Join(err, os.Remove(f.spool))
	}
	return err
}

// FormatError says that a file is not posts, one JSON document a line.
type FormatError struct {
	Name string
	What string // what it is, and how to make posts of it
}

func (e *FormatError) Error() string { return e.Name + ": " + e.What }

// recognise refuses a file that is something else as a whole.
func (f *File) recognise() error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("open posts: %w", err)
	}
	if info.IsDir() {
		return &os.PathError{Op: "open", Path: f.name, Err: syscall.EISDIR}
	}
	magic := make([]byte, 4)
	n, err := f.file.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	magic = magic[:n]
	zipped := bytes.HasPrefix(magic, []byte{0x1f, 0x8b})
	switch {
	case zipped && !f.packed && f.spool != "":
		return &FormatError{f.name, "it is packed with gzip; unpack it first, as in: zcat FILE | postlink publish -"}
	case zipped && !f.packed:
		return &FormatError{f.name, "it is packed with gzip, but its name does not end in .gz; rename it"}
	case !zipped && f.packed:
		return &FormatError{f.name, "its name ends in .gz, but it is not packed with gzip; rename it"}
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}), bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return &FormatError{f.name, "it is in UTF-16; save it as UTF-8"}
	}
	r, err := f.open()
	if err != nil {
		return err
	}
	start, err := io.ReadAll(io.LimitReader(r, sniffed))
	if err != nil {
		return f.unreadable(err)
	}
	return f.recogniseText(bytes.TrimSpace(start))
}

// recogniseText refuses JSON that is not one document a line; start is how the unpacked file begins. It recognises the two usual
// mistakes, an array and posts that are printed over several lines, because a list of wrong lines would not say what to do.
// Anything else is left to Check.
func (f *File) recogniseText(start []byte) error {
	line, _, several := bytes.Cut(start, []byte("\n"))
	line = bytes.TrimSpace(line)
	switch {
	case len(start) == 0:
		return &FormatError{f.name, "it holds no posts; write one JSON document a line"}
	case bytes.HasPrefix(line, []byte("[")):
		return &FormatError{f.name, "it is a JSON array; write one post a line, as in: jq -c '.[]' FILE"}
	case several && bytes.HasPrefix(line, []byte("{")) && !json.Valid(line):
		var first json.RawMessage
		if json.NewDecoder(bytes.NewReader(start)).Decode(&first) == nil {
			return &FormatError{f.name, "a post goes over several lines; write one post a line, as in: jq -c . FILE"}
		}
	}
	return nil
}

// open starts to read the file from its beginning.
func (f *File) open() (io.Reader, error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read %s again: %w; copy it to a file first", f.name, err)
	}
	if !f.packed {
		return f.file, nil
	}
	z, err := gzip.NewReader(bufio.NewReader(f.file))
	if err != nil {
		return nil, f.unreadable(err)
	}
	return z, nil
}

// unreadable wraps an error of reading. Gzip that is damaged is a mistake in the file, found only where the damage is; a disk that
// fails is not.
func (f *File) unreadable(err error) error {
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &FormatError{f.name, "it is packed with gzip, but damaged or cut off; copy it again"}
	}
	return fmt.Errorf("read %s: %w", f.name, err)
}

// lines calls visit with every line that is not blank, and its number from 1, until visit returns an error. The line is valid until
// visit returns. A line that is too long is a *FormatError that names it.
func (f *File) lines(visit func(number int, line []byte) error) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine+1)
	number := 0
	for scanner.Scan() {
		number++
		line := scanner.Bytes()
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := visit(number, line); err != nil {
			return err
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		return &FormatError{fmt.Sprintf("%s:%d", f.name, number+1), fmt.Sprintf("the line is longer than %d bytes, which NATS does not take; remove it", maxLine)}
	}
	if err := scanner.Err(); err != nil {
		return f.unreadable(err)
	}
	return nil
}

// LinesError says which lines of a file are no posts. It counts all of them and keeps the first few, each with the name of the file,
// the number of its line and what is wrong there. Only the lines that were to be sent are counted.
type LinesError struct {
	Bad   int // lines that are no posts
	Posts int // lines that are
	First []error
}

func (e *LinesError) Error() string {
	texts := make([]string, len(e.First), len(e.First)+2)
	for i, err := range e.First {
		texts[i] = err.Error()
	}
	if more := e.Bad - len(e.First); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	noun := "lines are no posts"
	if e.Bad == 1 {
		noun = "line is no post"
	}
	return fmt.Sprintf("%d %s, %d are; nothing was sent; correct the file, or send it as it is with --as-is\n  %s",
		e.Bad, noun, e.Posts, strings.Join(texts, "\n  "))
}

// Check reads the whole file and returns how many posts it has from a line on. Lines that are no posts come as *LinesError.
func (f *File) Check(from int) (posts int, err error) {
	var wrong LinesError
	err = f.lines(func(number int, line []byte) error {
		if number < from {
			return nil
		}
		_, err := payload.DecodePost(line)
		if err == nil {
			posts++
			return nil
		}
		if wrong.Bad++; len(wrong.First) < reported {
			wrong.First = append(wrong.First, fmt.Errorf("%s:%d: %w", f.name, number, err))
		}
		return nil
	})
	if err == nil && wrong.Bad > 0 {
		wrong.Posts = posts
		err = &wrong
	}
	return posts, err
}
