package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pureFiles hold no I/O, clock, lock, channel or goroutine: what they need to know is an argument.
var pureFiles = []string{
	"internal/link/slots.go", "internal/link/served.go", "internal/link/rtt.go", "internal/link/stopwatch.go",
	"internal/link/replay.go",
	"internal/link/pathsize.go", "internal/link/proof.go",
	"internal/skew/skew.go",
	"internal/seedbook/book.go", "internal/seedbook/name.go", "internal/seedbook/silence.go",
}

// goStatements are the goroutines of a node. Everything else runs on the goroutines of callers, workers and the system.
var goStatements = map[string]int{
	// whoever gives lines to the Logger, and the next, where that ended the goroutine
	"internal/logqueue/queue.go": 2,

	"internal/pool/pool.go":   1,
	"internal/pool/worker.go": 2,

	"call_hedge.go":    1, // an attempt, which its context ends and the call waits for
	"call.go":          1, // that of a Future, which its context ends
	"node.go":          2, // the reader, the loop
	"stream.go":        2, // a call whose loop waits for it; a sequence of the user's, which the call ends
	"transport_udp.go": 1, // Close when the socket fails
	"receive_quick.go": 1, // the reader again, where a function ended its goroutine
}

// clockFiles may read the clock.
var clockFiles = []string{
	"log.go",                     // how many lines there were in a second
	"internal/logqueue/queue.go", // lines have the time at which they were said
	"node.go", "heartbeat.go", "receive_quick.go",
	"transport_udp.go", // the datagrams of a batch have come at one time
	"pool.go",          // lines of the log
	// the age of a Confirm: after its token was looked up, or a spent one could be forgotten in between
	"internal/gate/confirm.go",
	"ack.go", "call.go", "call_all.go", "call_hedge.go", "call_remote.go", "call_wait.go", "describe.go",
	"interceptor_call.go",
	"offering.go", "request.go",
	"skew.go", // when a provider is asked, and a line is said
	"stats.go",
	"inspect.go",                                         // how long a View takes to make, who has asked
	"internal/link/link.go", "internal/link/transfer.go", // the send time of fragments
	"internal/link/stream.go",      // when a user has written
	"internal/deadline/context.go", // whether a context has ended
	"internal/buffer/idle.go",      // how long a collection takes
	"internal/pool/pool.go", "internal/pool/worker.go",
	"internal/udp/in_linux.go",  // how long the reader waited
	"internal/udp/refusals.go",  // how long the system is given
	"guest.go", "guest_find.go", // how old an answer is
	"every.go", "every_run.go", // when a timer is set, is due, and is told of
	"call_local.go",     // a call has ended that no link has a part in
	"subscribe.go",      // an event has waited for those before it
	"stats_function.go", // a call of all begins, and has ended
}

// A room is what a package may do, besides using the standard library.
type room struct {
	isTool  bool     // no part of a node: a tool of its tests, or what a program puts beside one
	isPure  bool     // no I/O, clock, lock, channel or goroutine: what it needs to know is an argument
	imports []string // of ours and of others
}

// rooms are all packages but examples and tests of the whole.
var rooms = map[string]room{
	".": {imports: []string{
		"broach/internal/balance", "broach/internal/buffer", "broach/internal/causes", "broach/internal/codec",
		"broach/internal/deadline", "broach/internal/environ", "broach/internal/function", "broach/internal/gate",
		"broach/internal/hamt",
		"broach/internal/handshake", "broach/internal/jsonfile",
		"broach/internal/link", "broach/internal/logqueue", "broach/internal/member", "broach/internal/pace",
		"broach/internal/pool", "broach/internal/ring", "broach/internal/seal", "broach/internal/seedbook",
		"broach/internal/skew",
		"broach/internal/stream",
		"broach/internal/strangers", "broach/internal/tally",
		"broach/internal/tokens", "broach/internal/transfer", "broach/internal/turn",
		"broach/internal/udp", "broach/internal/usage", "broach/internal/wire",
		"golang.org/x/sync/errgroup",
	}},
	"internal/asker": {isTool: true, imports: []string{
		"broach/internal/handshake", "broach/internal/seal", "broach/internal/wire",
		"github.com/stretchr/testify/require",
	}},
	// for tests of users: public, and no part of a node
	"broachtest": {isTool: true, imports: []string{"broach", "broach/internal/simnet", "broach/internal/wire"}},
	// for people: public, and no part of a node
	"dashboard": {isTool: true, imports: []string{"broach"}},
	"internal/balance": {imports: []string{"broach/internal/link", "broach/internal/wire",
		"github.com/sony/gobreaker/v2"}},
	"internal/buffer": {imports: []string{"broach/internal/race"}},
	"internal/causes": {imports: []string{"broach/internal/codec", "broach/internal/wire"}},
	"internal/clustertest": {isTool: true, imports: []string{
		"broach", "broach/internal/seal", "broach/internal/simnet", "broach/internal/wire",
		"github.com/stretchr/testify/require",
	}},
	"internal/codec": {imports: []string{
		"broach/internal/buffer", "broach/internal/wire", "github.com/vmihailenco/msgpack/v5",
		"github.com/vmihailenco/msgpack/v5/msgpcode",
	}},
	"internal/deadline": {},
	"internal/function": {imports: []string{"broach/internal/codec", "broach/internal/stream", "broach/internal/wire"}},
	"internal/functiontest": {isTool: true, imports: []string{
		"broach/internal/wire", "github.com/stretchr/testify/require", "github.com/vmihailenco/msgpack/v5",
	}},
	"internal/gate": {imports: []string{
		"broach/internal/handshake", "broach/internal/link", "broach/internal/member", "broach/internal/seal",
		"broach/internal/strangers",
		"broach/internal/tokens", "broach/internal/udp", "broach/internal/wire",
	}},
	// a program that uses nodes, and is told from one by nothing: public, and no part of a node
	"gateway":            {isTool: true, imports: []string{"broach"}},
	"internal/hamt":      {isPure: true},
	"internal/handshake": {imports: []string{"broach/internal/seal", "broach/internal/wire"}},
	"internal/intruder":  {isTool: true},
	"internal/jsonfile":  {},
	"internal/environ":   {imports: []string{"broach/internal/jsonfile"}},
	"internal/link": {imports: []string{
		"broach/internal/buffer", "broach/internal/deadline", "broach/internal/handshake", "broach/internal/pace",
		"broach/internal/seal", "broach/internal/stream", "broach/internal/transfer", "broach/internal/udp",
		"broach/internal/wire",
	}},
	"internal/linkmodel": {isTool: true, isPure: true},
	"internal/logqueue":  {imports: []string{"broach/internal/ring"}},
	"internal/member": {isPure: true,
		imports: []string{"broach/internal/handshake", "broach/internal/pace", "broach/internal/wire"}},
	"internal/pace":            {},
	"internal/pool":            {imports: []string{"broach/internal/ring", "github.com/panjf2000/ants/v2"}},
	"internal/race":            {isPure: true},
	"internal/ring":            {isPure: true},
	"internal/sandbox":         {isTool: true, imports: []string{"golang.org/x/sys/unix"}},
	"internal/sandbox/nobatch": {isTool: true, imports: []string{"broach/internal/sandbox", "golang.org/x/sys/unix"}},
	"internal/seal":            {},
	"internal/seedbook":        {imports: []string{"broach/internal/pace"}},
	"internal/skew":            {imports: []string{"broach/internal/codec", "broach/internal/wire"}},
	// by which a connection says that it is simulated
	"internal/simnet":    {isTool: true, imports: []string{"broach/internal/seal"}},
	"internal/strangers": {isPure: true, imports: []string{"broach/internal/pace", "broach/internal/wire"}},
	"internal/stream":    {imports: []string{"broach/internal/buffer"}},
	"internal/tally":     {},
	"internal/tokens": {imports: []string{"broach/internal/handshake", "broach/internal/link",
		"broach/internal/wire"}},
	"internal/transfer": {isPure: true, imports: []string{"broach/internal/buffer", "broach/internal/pace",
		"broach/internal/ring", "broach/internal/wire"}},
	"internal/turn":  {isPure: true},
	"internal/udp":   {imports: []string{"golang.org/x/sys/unix"}},
	"internal/usage": {},
	"internal/wire":  {},
}

func TestPureFilesHaveNoEffects(t *testing.T) {
	looked := 0
	for dir, r := range rooms {
		forEachFile(t, dir, func(path string, f *ast.File) {
			path = filepath.ToSlash(filepath.Join(dir, path))
			isPure := slices.Contains(pureFiles, path)
			if isPure {
				looked++
			}
			if isPure || r.isPure {
				requirePure(t, path, f)
			}
		})
	}
	require.Len(t, pureFiles, looked, "one of them has gone")
}

func requirePure(t *testing.T, path string, f *ast.File) {
	for _, name := range []string{"net", "os", "sync", "context", "log/slog", "golang.org/x/sys/unix"} {
		require.False(t, imports(f, name), "%s is pure and must not import %s", path, name)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
			t.Errorf("%s is pure and must not use goroutines or channels", path)
		}
		return true
	})
}

func TestGoroutinesAreTheListedOnes(t *testing.T) {
	found := map[string]int{}
	forEachFileOfANode(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				found[path]++
			}
			return true
		})
	})
	require.Equal(t, goStatements, found)
}

func TestTheClockIsReadInFewPlaces(t *testing.T) {
	forEachFileOfANode(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if ok && x.Name == "time" && slices.Contains(
				[]string{"Now", "Since", "Until", "After", "Tick"}, s.Sel.Name,
			) {
				require.Contains(t, clockFiles, path, "time.%s", s.Sel.Name)
			}
			return true
		})
	})
}

// [G16] A clock that is set changes nothing: all times are read with time.Now and compared with each other, which goes
// by the monotonic clock, and nothing takes that reading off a time, or makes a time of a number. Only values of calls
// are times by the wall.
func TestTheWallClockIsNotUsed(t *testing.T) {
	wall := []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "Date", "Parse", "Truncate"}
	forEachFileOfANode(t, func(path string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && !matchesAny([]string{"internal/codec/*.go"}, path) {
				require.NotContains(t, wall, s.Sel.Name, "in %s", path)
			}
			return true
		})
	})
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	for _, dir := range packages(t) {
		require.Contains(t, rooms, dir, "the table of rooms")
		forEachFile(t, dir, func(path string, f *ast.File) {
			for _, spec := range f.Imports {
				name := strings.Trim(spec.Path.Value, `"`)
				if strings.Contains(name, ".") || strings.HasPrefix(name, "broach") {
					require.Contains(t, rooms[dir].imports, name, "imported by %s", filepath.Join(dir, path))
				}
			}
		})
	}
}

// clusterTests is what tests may use that use nodes as a program does: besides tools, how datagrams are laid out and
// sealed, a socket of their own to speak as a stranger, a queue, and the order of timers' owners, which is no secret.
var clusterTests = []string{
	"broach", "broach/internal/clustertest", "broach/internal/functiontest", "broach/internal/intruder",
	"broach/internal/race",
	"broach/internal/simnet", "broach/internal/wire", "broach/internal/seal", "broach/internal/udp",
	"broach/internal/pace",
	"broach/internal/balance",
}

func TestClusterTestsUseNodesAsAProgramDoes(t *testing.T) {
	paths, err := filepath.Glob("internal/clustertest/*/*_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range f.Imports {
			if name := strings.Trim(spec.Path.Value, `"`); strings.HasPrefix(name, "broach") {
				require.Contains(t, clusterTests, name, "imported by %s", path)
			}
		}
	}
}

// packages are the folders of this module with Go files that are not tests.
func packages(t *testing.T) (dirs []string) {
	require.NoError(t, filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (slices.Contains([]string{"examples", ".git"}, path) || isOtherModule(path)):
			return filepath.SkipDir
		case !e.IsDir() && isSource(e) && !slices.Contains(dirs, filepath.Dir(path)):
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	}))
	return dirs
}

// isOtherModule reports whether a folder is a module of its own, as what needs much of others is.
func isOtherModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil && dir != "."
}

func TestNothingPrintsOutsideTheLog(t *testing.T) {
	forEachFileOfANode(t, func(path string, f *ast.File) {
		require.False(t, imports(f, "log"), "%s: logging is log/slog's", path)
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				x, ok := s.X.(*ast.Ident)
				printing := ok && x.Name == "fmt" && strings.HasPrefix(s.Sel.Name, "Print")
				require.False(t, printing, "%s prints", path)
			}
			return true
		})
	})
}

// forEachFileOfANode visits those of the rooms that make up a node, by their paths.
func forEachFileOfANode(t *testing.T, visit func(path string, f *ast.File)) {
	for dir, r := range rooms {
		if !r.isTool {
			forEachFile(t, dir, func(path string, f *ast.File) { visit(filepath.Join(dir, path), f) })
		}
	}
}

// forEachFile parses the Go files of a folder that are not tests.
func forEachFile(t *testing.T, dir string, visit func(path string, f *ast.File)) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	seen := 0
	for _, e := range entries {
		if e.IsDir() || !isSource(e) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.ParseComments)
		require.NoError(t, err)
		visit(e.Name(), f)
		seen++
	}
	require.NotZero(t, seen, "no files in %s", dir)
}

func isSource(e fs.DirEntry) bool {
	return strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go")
}

func imports(f *ast.File, name string) bool {
	return slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"`+name+`"` })
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := filepath.Match(p, name)
		return ok
	})
}
