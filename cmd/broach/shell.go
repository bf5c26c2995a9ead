package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/peterh/liner"
	"github.com/spf13/cobra"

	"broach"
)

func (a *app) shellCommand() *cobra.Command {
	return &cobra.Command{
		Use: "shell", Short: "Call functions line by line, as work01(1, 2)", Args: cobra.NoArgs,
		Long: "Call functions line by line. Tab completes names; a name alone shows what the function takes. Ctrl-C\n" +
			"ends the call under way, Ctrl-D the shell. What does not come from a terminal ends with the first\n" +
			"error.\n\n" + shellHelp,
		RunE: func(c *cobra.Command, _ []string) error { return a.shell(c.Context()) },
	}
}

// shellHelp are the lines that a shell takes.
const shellHelp = `work01(1, 2)     call: arguments are JSON
work01           what the function takes
members          who is there
services [TEXT]  functions, or those whose names contain the text
ctx k=v          metadata of all calls from now on; ctx k= takes it back, ctx shows it
timeout 2s       how long a call may take
help, exit`

// shell is one that runs.
type shell struct {
	*app
	*session
	meta  []string // key=value
	names []string // of functions, as of the last look
	seen  time.Time
}

func (a *app) shell(ctx context.Context) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	sh := &shell{app: a, session: s}
	if !isTerminal(a.in) {
		return sh.runLines(ctx)
	}
	return sh.prompt(context.WithoutCancel(ctx)) // Ctrl-C ends a call, and not the shell
}

// runLines takes lines that nobody types.
func (s *shell) runLines(ctx context.Context) error {
	lines := bufio.NewScanner(s.in)
	for lines.Scan() {
		if err := s.line(ctx, lines.Text()); err != nil {
			return notExit(err)
		}
	}
	return lines.Err()
}

// errExit says that the shell is to end.
var errExit = errors.New("exit")

func notExit(err error) error {
	if errors.Is(err, errExit) {
		return nil
	}
	return err
}

// prompt takes lines from a terminal.
func (s *shell) prompt(ctx context.Context) error {
	l := liner.NewLiner()
	defer l.Close()
	l.SetCtrlCAborts(true)
	l.SetTabCompletionStyle(liner.TabPrints)
	l.SetCompleter(func(line string) []string { return s.complete(ctx, line) })
	defer s.endByTERM(l)()
	defer keepHistory(l)()
	for {
		text, err := l.Prompt("broach> ")
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			continue
		case err != nil: // Ctrl-D
			fmt.Fprintln(s.out)
			return nil
		}
		if strings.TrimSpace(text) != "" {
			l.AppendHistory(text)
		}
		if err := s.interruptible(ctx, text); errors.Is(err, errExit) {
			return nil
		} else if err != nil {
			s.report(err)
		}
	}
}

// endByTERM gives the terminal back when the process is told to end. What it returns ends that.
func (s *shell) endByTERM(l *liner.State) func() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		if _, ok := <-term; ok {
			_ = l.Close()
			os.Exit(128 + int(syscall.SIGTERM))
		}
	}()
	return func() {
		signal.Stop(term)
		close(term)
	}
}

// interruptible runs a line, which Ctrl-C ends.
func (s *shell) interruptible(ctx context.Context, text string) error {
	ctx, cancel := signal.NotifyContext(ctx, os.Interrupt)
	defer cancel()
	return s.line(ctx, text)
}

// line does what a line says.
func (s *shell) line(ctx context.Context, text string) error {
	text = strings.TrimSpace(text)
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "", "#":
		return nil
	case "exit", "quit":
		return errExit
	case "help", "?":
		_, err := fmt.Fprintln(s.out, shellHelp)
		return err
	case "members":
		return s.listMembers(ctx)
	case "services":
		return s.listServices(ctx, rest)
	case "ctx":
		return s.setMeta(rest)
	case "timeout":
		return s.setTimeout(rest)
	}
	name, args, isCall := cutCall(text)
	if !isCall {
		return s.show(ctx, text)
	}
	return s.callLine(ctx, name, args)
}

// cutCall takes name(arguments) apart.
func cutCall(text string) (name, args string, ok bool) {
	name, args, ok = strings.Cut(text, "(")
	args, closed := strings.CutSuffix(strings.TrimSpace(args), ")")
	return strings.TrimSpace(name), args, ok && closed
}

// show says what a function takes.
func (s *shell) show(ctx context.Context, name string) error {
	if strings.Contains(name, "(") {
		return usagef("%s: a call ends with )", quoted(name))
	}
	d, err := s.describe(ctx, s.app, name)
	if err != nil {
		return err
	}
	return s.emitDescription(d)
}

func (s *shell) callLine(ctx context.Context, name, args string) error {
	f := callFlags{meta: s.meta}
	opts, err := f.options()
	if err != nil {
		return err
	}
	d, err := s.describe(ctx, s.app, name)
	if err != nil {
		return err
	}
	text := "[" + args + "]"
	v, err := parseJSON(text)
	list, isList := v.([]any)
	if err != nil || !isList {
		return usagef("the arguments are no JSON: %v%s", err, jsonHint(text))
	}
	values, err := toValues(list, &d)
	if err != nil {
		return err
	}
	return s.make(ctx, s.Caller(name, opts...), f, &d, values)
}

func (s *shell) listMembers(ctx context.Context) error {
	v, err := s.view(ctx, "", broach.ViewMembers)
	if err != nil {
		return err
	}
	return s.emit(listMembers(v, memberFilter{}), false)
}

func (s *shell) listServices(ctx context.Context, part string) error {
	v, err := s.view(ctx, "", broach.ViewServices)
	if err != nil {
		return err
	}
	return s.emit(listServices(v, func(name string) bool { return strings.Contains(name, part) }), false)
}

// setMeta puts metadata with the calls to come.
func (s *shell) setMeta(pair string) error {
	key, value, ok := strings.Cut(pair, "=")
	switch {
	case pair == "":
		for _, m := range s.meta {
			fmt.Fprintln(s.out, clean(m))
		}
		return nil
	case !ok || key == "":
		return usagef("ctx %s: it must be key=value", quoted(pair))
	}
	s.meta = slices.DeleteFunc(s.meta, func(m string) bool { return strings.HasPrefix(m, key+"=") })
	if value != "" {
		s.meta = append(s.meta, pair)
	}
	return nil
}

func (s *shell) setTimeout(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return usagef("timeout %s: it must be a time such as 1.5s", quoted(text))
	}
	s.timeout = d
	return nil
}

// completeKeptShell is how long names are offered without a new look.
const completeKeptShell = 2 * time.Second

// complete offers words and names; behind the bracket of a name, what the function takes.
func (s *shell) complete(ctx context.Context, line string) (list []string) {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	if name, args, ok := strings.Cut(line, "("); ok {
		if d, err := s.Describe(ctx, name); err == nil && args == "" {
			return []string{name + "(" + paramWords(d) + ")"}
		}
		return nil
	}
	if time.Since(s.seen) > completeKeptShell {
		if v, err := s.view(ctx, "", broach.ViewServices); err == nil {
			s.names, s.seen = namesOf(v), time.Now()
		}
	}
	for _, word := range append(slices.Clone(s.names), "members", "services", "ctx ", "timeout ", "help", "exit") {
		if strings.HasPrefix(word, line) && len(list) < completeMost {
			list = append(list, word)
		}
	}
	return list
}

// namesOf are functions as they are completed: with the bracket, and none that a terminal would act on.
func namesOf(v broach.View) (names []string) {
	for _, f := range v.Services {
		if name := f.Name + "("; clean(name) == name && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// paramWords are the parameters of a function by their names, or by their types.
func paramWords(d broach.Description) string {
	words := make([]string, len(d.Params))
	for i, p := range d.Params {
		if words[i] = clean(p.Name); p.Name == "" {
			words[i] = clean(typeText(p.Type))
		}
	}
	return strings.Join(words, ", ")
}

// keepHistory reads what was typed before, and returns what writes it, for this user alone.
func keepHistory(l *liner.State) (write func()) {
	path := statePath("history")
	if f, err := os.Open(path); err == nil {
		_, _ = l.ReadHistory(f)
		_ = f.Close()
	}
	return func() {
		var b strings.Builder
		if _, err := l.WriteHistory(&b); err == nil {
			keepPrivate(path, []byte(b.String()))
		}
	}
}

// statePath is a file in the folder for what a program keeps from one run to the next; "": there is none.
func statePath(name string) string {
	dir := os.Getenv("XDG_STATE_HOME")
	if home, err := os.UserHomeDir(); dir == "" && err == nil {
		dir = filepath.Join(home, ".local", "state")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "broach", name)
}
