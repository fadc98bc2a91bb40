package main

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"postlink/cmd/postlink/internal/cli"
)

// logLevels are the levels that a log can have.
var logLevels = []string{"debug", "info", "warn", "error"}

// newLogger writes to standard error: lines for people on a terminal, JSON otherwise. Nothing is buffered, so nothing is lost when the
// process ends; the lock keeps lines of several goroutines apart.
func newLogger(level string) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, cli.Usage("log level %q%s", level, cli.DidYouMean(level, logLevels))
	}
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339TimeEncoder
	encoder := zapcore.NewJSONEncoder(cfg)
	if cli.IsTerminal(os.Stderr) {
		cfg.EncodeLevel = zapcore.CapitalLevelEncoder
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05")
		encoder = zapcore.NewConsoleEncoder(cfg)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), l)), nil
}
