package dashboard

import (
	"context"
	"maps"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"broach"
)

// A row that is opened: the whole View of one member, asked for at once.

type viewAnswer struct {
	Addr, Name, Version, Go, Library string
	Tags                             map[string]string
	Uptime                           int64 // ms
	CPU, Heap                        float64
	Goroutines, Processors           int
	Members                          []viewMember
	Counts                           []viewCount
	Served                           []viewFunction
	Settings                         []broach.Setting
}

type viewMember struct {
	Addr, Name string
	Mark       mark
	RTT, Loss  float64
	Since      int64 // ms
}

type viewCount struct {
	Name  string
	Value float64
}

type viewFunction struct {
	Name     string
	Calls    uint64
	Errors   uint64
	P50, P99 float64
}

const (
	viewTimeout  = 5 * time.Second
	membersMost  = 4096
	tagsMost     = 32
	settingsMost = 256
)

func (p *page) view(w http.ResponseWriter, r *http.Request, _ string) {
	addr, err := netip.ParseAddrPort(r.URL.Query().Get("addr"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "addr is to be that of a member, such as 10.0.0.1:7000")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), viewTimeout)
	defer cancel()
	if !p.await(w, ctx) {
		return
	}
	v, err := p.n.Inspect(ctx, addr)
	if err != nil {
		tell(w, err)
		return
	}
	answer(w, http.StatusOK, viewOf(&v))
}

// await waits for a turn to ask a member; that there is none soon is answered.
func (p *page) await(w http.ResponseWriter, ctx context.Context) bool {
	wait, ok := p.poller.turn(time.Now())
	if !ok {
		refuse(w, http.StatusServiceUnavailable, "too much is asked for at once")
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func viewOf(v *broach.View) *viewAnswer {
	out := &viewAnswer{Addr: v.Addr.String(), Name: short(v.Name), Version: short(v.Version), Go: short(v.GoVersion),
		Library: short(v.Library), Tags: shortTags(v.Tags), Uptime: v.Uptime.Milliseconds(), CPU: v.CPU.Seconds(),
		Heap: float64(v.HeapBytes), Goroutines: v.Goroutines, Processors: v.Processors, Counts: countsOf(&v.Stats)}
	for i := range v.Members[:min(len(v.Members), membersMost)] {
		m := &v.Members[i]
		out.Members = append(out.Members, viewMember{m.Addr.String(), short(m.Name), markOf(&m.Member),
			round(float64(m.RTT.Microseconds())), roundLoss(m.Peer.Loss), m.Peer.Since.Milliseconds()})
	}
	for _, f := range busiest(v.Stats.Served) {
		if f.Name == "" {
			continue
		}
		p := paceOf(&broach.FunctionStats{}, &f, 1)
		out.Served = append(out.Served, viewFunction{f.Name, f.Calls, uint64(p.errors),
			round(p.percentile(0.5)), round(p.percentile(0.99))})
	}
	for _, s := range v.Settings[:min(len(v.Settings), settingsMost)] {
		s.Key, s.Value = short(s.Key), short(s.Value)
		out.Settings = append(out.Settings, s)
	}
	return out
}

// shortTags keeps as many as a Config may have.
func shortTags(tags map[string]string) map[string]string {
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		if len(out) < tagsMost {
			out[short(key)] = short(tags[key])
		}
	}
	return out
}

// countsOf are the counters of Stats that are not zero, by their names: a later version may have more of them.
func countsOf(s *broach.Stats) (list []viewCount) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		name, n := v.Type().Field(i).Name, 0.0
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64:
			n = float64(f.Uint())
		case reflect.Int:
			n = float64(f.Int())
		}
		if n != 0 {
			list = append(list, viewCount{name, n})
		}
	}
	return list
}
