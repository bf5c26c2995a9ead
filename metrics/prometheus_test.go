package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"broach"
	"broach/broachtest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
)

// server is a Prometheus that scrapes this process.
type server struct {
	t    *testing.T
	addr string
}

// startPrometheus has one scrape targets several times a second and evaluate the alerting rules.
func startPrometheus(t *testing.T, targets ...string) *server {
	dir := t.TempDir()
	rules, err := filepath.Abs("contrib/alerts.yml")
	require.NoError(t, err)
	config := fmt.Sprintf("global: {scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}\n"+
		"rule_files: [%q]\nscrape_configs:\n  - {job_name: shop, static_configs: [{targets: [%s]}]}\n",
		rules, strings.Join(targets, ", "))
	require.NoError(t, os.WriteFile(dir+"/prometheus.yml", []byte(config), 0o666))
	s := &server{t, freePort(t)}
	cmd := exec.Command(program(t, "prometheus"), "--config.file="+dir+"/prometheus.yml",
		"--storage.tsdb.path="+dir+"/data", "--web.listen-address="+s.addr, "--log.level=warn")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})
	return s
}

// freePort is an address that nobody listens at.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// answer is what its HTTP API says.
type answer struct {
	Status string
	Error  string
	Data   struct {
		Result []struct {
			Metric map[string]string
			Value  []any
		}
		ActiveTargets []struct{ Health, LastError string }
		Groups        []struct {
			Rules []struct{ Name, Health, LastError, State string }
		}
	}
}

// get asks once.
func (s *server) get(ctx context.Context, path string) (a answer, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	require.NoError(s.t, err)
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, err
	}
	defer got.Body.Close()
	return a, json.NewDecoder(got.Body).Decode(&a)
}

// until asks again, since Prometheus says to nobody when it has scraped, until what it says is as wanted.
func (s *server) until(what, path string, wanted func(answer) bool) answer {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	for {
		a, err := s.get(ctx, path)
		if err == nil && wanted(a) {
			return a
		}
		select {
		case <-ctx.Done():
			require.FailNow(s.t, what, "%s: %+v, %v", path, a, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func query(expr string) string { return "/api/v1/query?query=" + url.QueryEscape(expr) }

// serveMetrics has a node scraped over HTTP, and returns the address.
func serveMetrics(t *testing.T, n *broach.Node) string {
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(Collector(n)))
	web := httptest.NewServer(promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	t.Cleanup(web.Close)
	return strings.TrimPrefix(web.URL, "http://")
}

// One that Debian ships scrapes two nodes, finds each thing that the dashboard shows, and can evaluate the rules.
func TestARealPrometheusScrapesTwoNodes(t *testing.T) {
	program(t, "prometheus")
	c := broachtest.New(t)
	till, shop := c.Start("till"), c.Start("shop")
	useAll(t, c, till, shop)
	s := startPrometheus(t, serveMetrics(t, till), serveMetrics(t, shop))
	s.until("both are scraped", "/api/v1/targets", func(a answer) bool {
		up := 0
		for _, target := range a.Data.ActiveTargets {
			if target.Health == "up" {
				up++
			}
		}
		return up == 2
	})
	s.until("the calls are counted", query(`broach_call_duration_seconds_count{function="pay"}`),
		func(a answer) bool { return len(a.Data.Result) == 1 && a.Data.Result[0].Value[1] == "100" })
	s.until("two scrapes are there to make a rate of", query(`count_over_time(broach_joined[1m]) >= 4`),
		func(a answer) bool { return len(a.Data.Result) == 2 })
	for title, expr := range dashboard(t) {
		a, err := s.get(t.Context(), query(expr))
		require.NoError(t, err)
		require.Equal(t, "success", a.Status, "%s: %s: %s", title, expr, a.Error)
		require.NotEmpty(t, a.Data.Result, "%s: %s", title, expr)
	}
	s.until("the rules can be evaluated", "/api/v1/rules", func(a answer) bool {
		healthy := 0
		for _, g := range a.Data.Groups {
			for _, r := range g.Rules {
				require.Empty(t, r.LastError, r.Name)
				require.Equal(t, "inactive", r.State, r.Name)
				if r.Health == "ok" {
					healthy++
				}
			}
		}
		return healthy == 6
	})
}

// useAll has something be counted of everything that the dashboard shows.
func useAll(t *testing.T, c *broachtest.Cluster, till, shop *broach.Node) {
	heard, rung := make(chan struct{}, 1), make(chan struct{}, 1)
	require.NoError(t, shop.Register("pay", func(sum int) error {
		if sum == 0 {
			return broach.Errorf(broach.Application, "nothing to pay")
		}
		return nil
	}))
	_, err := shop.Subscribe("sold", func(string) { heard <- struct{}{} })
	require.NoError(t, err)
	timer, err := shop.Every(10*time.Millisecond, func() {
		select {
		case rung <- struct{}{}:
		default:
		}
	})
	require.NoError(t, err)
	c.Settle()
	for i := range 100 {
		_, err := till.Caller("pay").Call(t.Context(), i)
		require.Equal(t, i == 0, err != nil, "%v", err)
	}
	_, err = till.Publish(t.Context(), "sold", "milk")
	require.NoError(t, err)
	<-heard
	<-rung
	timer.Stop()
}

// dashboard is what the dashboard asks for, by the titles of its panels, with its variables set.
func dashboard(t *testing.T) map[string]string {
	text, err := os.ReadFile("contrib/grafana.json")
	require.NoError(t, err)
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &d))
	set := strings.NewReplacer("$__rate_interval", "1m", "$job", "shop", "$instance", ".*", "$function", ".*")
	exprs := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			exprs[p.Title+" "+target.RefID] = set.Replace(target.Expr)
		}
	}
	require.Greater(t, len(exprs), 20)
	return exprs
}
