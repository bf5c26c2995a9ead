//go:build unix

package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
	"broach/gateway"
	"broach/internal/race"
)

// What a gateway costs, beside the least that a server in Go does for the same: a plain handler that adds two numbers.
// As in a cluster, the gateway and the function are processes of their own, and this one is the clients'. Both are
// asked in turn, a hundred times in one run, so that what else the machine does meets both.

// partEnv says which of parts this process is, and an address that it needs.
const partEnv = "BROACH_GATEWAY_PART"

var parts = map[string]func(addr string){"front": beFront, "provider": beProvider}

func TestMain(m *testing.M) {
	name, addr, _ := strings.Cut(os.Getenv(partEnv), " ")
	if part := parts[name]; part != nil {
		part(addr)
		return
	}
	os.Exit(m.Run())
}

// BenchmarkGateway reports what the gateway does a second, the share of what the plain handler does, the same by the
// processor time of all three processes, which a busy machine changes less, and that of a request in the server's.
func BenchmarkGateway(b *testing.B) {
	front := startPart(b, "front")
	plain, url, node := front.line(b), front.line(b), front.line(b)
	provider := startPart(b, "provider "+node)
	front.line(b)
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			compare(b, plain, url, callers, front, provider)
		})
	}
}

const rounds = 100

func compare(b *testing.B, plain, url string, callers int, front, provider *part) {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	n := max(b.N/rounds, callers)
	askMany(b, c, plain, callers, callers)
	askMany(b, c, url, callers, callers)
	var took, all, fronts [2]time.Duration
	b.ResetTimer()
	for range rounds {
		for i, target := range []string{plain, url} {
			own, others, began := front.usage(b), usage()+provider.usage(b), time.Now()
			askMany(b, c, target, n, callers)
			took[i] += time.Since(began)
			own = front.usage(b) - own
			fronts[i] += own
			all[i] += own + usage() + provider.usage(b) - others
		}
	}
	total := float64(n * rounds)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(total/took[0].Seconds(), "plain/s")
	b.ReportMetric(total/took[1].Seconds(), "gateway/s")
	b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "share")
	b.ReportMetric(all[0].Seconds()/all[1].Seconds(), "cpu-share")
	b.ReportMetric(fronts[0].Seconds()*1e6/total, "plain-cpu-µs")
	b.ReportMetric(fronts[1].Seconds()*1e6/total, "gateway-cpu-µs")
}

func askMany(b *testing.B, c *http.Client, url string, n, callers int) {
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if sum, err := askSum(c, url); err != nil || sum != "3\n" {
					b.Errorf("%q, %v", sum, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func askSum(c *http.Client, url string) (string, error) {
	r, err := c.Post(url, "application/json", strings.NewReader("[1, 2]"))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

// A part is another process of the benchmark. It ends with its input.
type part struct {
	in  io.Writer
	out *bufio.Reader
}

func startPart(b testing.TB, name string) *part {
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), partEnv+"="+name), os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		require.NoError(b, cmd.Wait())
	})
	return &part{in, bufio.NewReader(out)}
}

func (p *part) line(b testing.TB) string {
	text, err := p.out.ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(text)
}

// usage is the processor time that the process has taken.
func (p *part) usage(b *testing.B) time.Duration {
	_, err := io.WriteString(p.in, "\n")
	require.NoError(b, err)
	d, err := time.ParseDuration(p.line(b))
	require.NoError(b, err)
	return d
}

// beFront serves the plain handler and the gateway, and says where, and where its node is.
func beFront(string) {
	n, err := broach.Start(broach.Config{Name: "front", Addr: "127.0.0.1:0", LogLevel: "error"})
	check(err)
	g, err := gateway.New(n, gateway.Expose("add"))
	check(err)
	fmt.Println(listen(&http.Server{Handler: http.HandlerFunc(addPlain)}) + "/")
	fmt.Println(listen(gateway.Server("", g)) + "/rpc/add")
	fmt.Println(n.Addr())
	check(n.WaitFor(context.Background(), "add", 1))
	fmt.Println("ready")
	tellUsage()
}

// addPlain adds the two numbers of an array.
func addPlain(w http.ResponseWriter, r *http.Request) {
	var numbers [2]int
	if err := json.NewDecoder(r.Body).Decode(&numbers); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(numbers[0] + numbers[1])
}

func listen(s *http.Server) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { _ = s.Serve(l) }()
	return "http://" + l.Addr().String()
}

func beProvider(seed string) {
	n, err := broach.Start(broach.Config{Name: "provider", Addr: "127.0.0.1:0", Join: []string{seed},
		LogLevel: "error"})
	check(err)
	check(n.Register("add", func(x, y int) int { return x + y }))
	tellUsage()
}

// tellUsage answers each line of the input, and returns at its end.
func tellUsage() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(usage())
	}
}

func usage() time.Duration {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// TestAllocationsOfARequest: 30 more than those of the plain handler, the call of a function among them.
func TestAllocationsOfARequest(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates, too")
	}
	node, _ := start(t)
	g := newGateway(t, node, gateway.Expose("add"))
	count := func(h http.Handler) float64 {
		return testing.AllocsPerRun(500, func() {
			w := &sink{header: http.Header{}}
			h.ServeHTTP(w, request(http.MethodPost, "/rpc/add", "[1, 2]"))
			if !bytes.Equal(w.body[:w.n], []byte("3\n")) {
				t.Fatalf("%q", w.body[:w.n])
			}
		})
	}
	plain := count(http.HandlerFunc(addPlain))
	extra := count(g) - plain
	t.Logf("the plain handler and its request: %.0f; the gateway: %.0f more", plain, extra)
	require.LessOrEqual(t, extra, 30.0)
}

// A sink takes an answer without allocating more.
type sink struct {
	header http.Header
	body   [64]byte
	n      int
}

func (s *sink) Header() http.Header { return s.header }
func (s *sink) WriteHeader(int)     {}

func (s *sink) Write(b []byte) (int, error) {
	n := copy(s.body[s.n:], b)
	s.n += n
	return len(b), nil
}
