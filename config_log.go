package broach

import (
	"context"
	"log/slog"
	"os"
)

const (
	logOff    = "off"
	levelForm = "must be debug, info, warn, error or off"
)

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

func isLogLevel(name string) bool {
	_, ok := logLevels[name]
	return ok || name == logOff
}

// logger is where the node logs. A LogLevel that is set is kept even if slog.Default enables less: whoever asks for debug lines
// wants to see them, so they then go to standard error as text. An unset one never makes a program louder than it chose to be.
func (c Config) logger() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	if c.LogLevel == logOff {
		return slog.New(slog.DiscardHandler)
	}
	level := logLevels[c.LogLevel] // info if unset: it is slog's zero level
	handler := slog.Default().Handler()
	if c.LogLevel != "" && !handler.Enabled(context.Background(), level) {
		handler = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})
	}
	return slog.New(levelHandler{handler, level})
}

// leastLevel is that of the lines that the node says at all. A Logger decides for itself.
func (c Config) leastLevel() slog.Level {
	switch {
	case c.Logger != nil && c.Logger.Handler() == slog.DiscardHandler, c.Logger == nil && c.LogLevel == logOff:
		return slog.LevelError + 1
	case c.Logger != nil:
		return slog.LevelDebug
	}
	return logLevels[c.LogLevel]
}

// loudest is where a line goes that no LogLevel may hide: as a warning, or as an error where only errors are taken. A Logger that takes
// neither was made so by the program, which may know better; where slog.Default takes neither, the line goes to standard error.
func (c Config) loudest() (slog.Handler, slog.Level) {
	ctx, log := context.Background(), c.Logger
	if log == nil {
		log = slog.Default()
	}
	switch {
	case log.Enabled(ctx, slog.LevelWarn):
		return log.Handler(), slog.LevelWarn
	case c.Logger == nil && !log.Enabled(ctx, slog.LevelError):
		return slog.NewTextHandler(os.Stderr, nil), slog.LevelError
	}
	return log.Handler(), slog.LevelError
}

// levelHandler passes on records of its level and above, as far as the handler beneath wants them.
type levelHandler struct {
	slog.Handler
	level slog.Level
}

func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}
