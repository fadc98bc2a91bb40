package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"postlink/worker/catalog"
)

func printPlan(w io.Writer, plan catalog.Plan) error {
	if plan.Empty() {
		_, err := fmt.Fprintln(w, "nothing changes")
		return err
	}
	_, err := fmt.Fprint(w, plan)
	return err
}

// newLogger writes to standard error: lines for people on a terminal, JSON otherwise.
func newLogger(level string) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, usageError(fmt.Errorf("log level %q: choose one of debug, info, warn, error", level))
	}
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339TimeEncoder
	encoder := zapcore.NewJSONEncoder(cfg)
	if isTerminal(os.Stderr) {
		cfg.EncodeLevel = zapcore.CapitalLevelEncoder
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05")
		encoder = zapcore.NewConsoleEncoder(cfg)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), l)), nil
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// meter shows the progress of long work on a terminal, and nothing elsewhere.
type meter struct {
	w     io.Writer
	what  string
	shown bool
}

func newMeter(w io.Writer, what string) *meter {
	if f, ok := w.(*os.File); !ok || !isTerminal(f) {
		w = nil
	}
	return &meter{w: w, what: what}
}

func (m *meter) show(n int) {
	if m.w != nil {
		m.shown = true
		fmt.Fprintf(m.w, "\r%d %s", n, m.what)
	}
}

func (m *meter) done() {
	if m.shown {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
}
