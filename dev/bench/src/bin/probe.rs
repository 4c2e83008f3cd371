//! probe
use bytes::Bytes; use comity_bench::bodies::*; use comity_core::json::Object; use std::time::Instant;
#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main(){
  let which = std::env::args().nth(1).unwrap_or_default();
  let t = transaction(50, FIFTY_PDUS);
  let body = match which.as_str() { "top" => { let p = t.find("\"pdus\"").unwrap(); let (h,p)=t[1..t.len()-1].split_at(p-1); format!("{{{p},{}}}", h.trim_end_matches(',')) }, "pretty" => serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&t).unwrap()).unwrap(), _ => t };
  let body = Bytes::from(body);
  let n: usize = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(2000);
  let mut best = f64::MAX;
  for _ in 0..10 { let b=Instant::now(); for _ in 0..n { std::hint::black_box(Object::parse(body.clone(), usize::MAX).unwrap()); } best = best.min(b.elapsed().as_secs_f64()/n as f64); }
  println!("{which} {:.2} us  {:.2} GB/s", best*1e6, body.len() as f64/best/1e9);
}
