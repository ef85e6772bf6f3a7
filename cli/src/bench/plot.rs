//! `outdial bench plot`: pictures of what `capacity` measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use plotters::prelude::*;
use serde_json::Value;

use crate::exit::{Exit, Failure};

/// Draw how processor time, memory and jitter grow with the calls, from what `capacity --json` printed
#[derive(Debug, Args)]
pub(super) struct PlotCommand {
    /// Files with one JSON object per line, as `capacity --json` prints it
    #[arg(required = true, value_name = "FILE")]
    results: Vec<PathBuf>,
    /// Where the SVG pictures go
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
}

/// A picture: its file, its axis, and where its figure is in a result.
struct Picture {
    file: &'static str,
    axis: &'static str,
    figure: &'static str,
}

const PICTURES: [Picture; 3] = [
    Picture { file: "cpu.svg", axis: "µs of CPU per call-second", figure: "/cpu_us_per_call_second" },
    Picture { file: "memory.svg", axis: "KB per call", figure: "/rss_kb_per_call" },
    Picture {
        file: "jitter.svg",
        axis: "frame interval at the wire, p99, ms",
        figure: "/wire_interval_ms/p99",
    },
];

/// The bare system calls, beside the calls themselves.
const FLOOR: (&str, &str) = ("bare system calls", "/floor_us_per_call_second");

/// Points of each line, by its name.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

impl PlotCommand {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let mut results = Vec::new();
        for path in &self.results {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                results.push(serde_json::from_str(line).with_context(|| path.display().to_string())?);
            }
        }
        fs::create_dir_all(&self.dir).with_context(|| self.dir.display().to_string())?;
        for picture in &PICTURES {
            let mut lines = lines(&results, picture.figure);
            if picture.file == "cpu.svg" {
                lines.extend(floor(&results));
            }
            draw(&self.dir.join(picture.file), picture.axis, &lines)?;
        }
        Ok(Exit::Completed)
    }
}

fn lines(results: &[Value], figure: &str) -> Lines {
    let mut lines = Lines::new();
    for result in results {
        let (Some(calls), Some(value)) =
            (result["calls"].as_f64(), result.pointer(figure).and_then(Value::as_f64))
        else {
            continue;
        };
        let srtp = if result["srtp"] == true { " with SRTP" } else { "" };
        let (codec, hz) =
            (result["codec"].as_str().unwrap_or("?"), result["application_hz"].as_u64().unwrap_or(0));
        lines.entry(format!("{codec}{srtp}, {hz} Hz")).or_default().push((calls, value));
    }
    lines.values_mut().for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    lines
}

/// The floor is one line for all results: the least at each number of calls.
fn floor(results: &[Value]) -> Lines {
    let (name, figure) = FLOOR;
    let mut points: Vec<(f64, f64)> = lines(results, figure).into_values().flatten().collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.dedup_by_key(|point| point.0);
    Lines::from([(name.to_owned(), points)])
}

fn draw(path: &Path, axis: &str, lines: &Lines) -> Result<()> {
    let points = || lines.values().flatten();
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max) * 1.1;
    let (right, top) = (most(&mut points().map(|point| point.0)), most(&mut points().map(|point| point.1)));
    if right == 0.0 || top == 0.0 {
        return Err(anyhow!("nothing to draw: no result has {axis}"));
    }
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let area = SVGBackend::new(path, (800, 480)).into_drawing_area();
    area.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..right, 0.0..top)
        .map_err(|error| failed(&error))?;
    chart.configure_mesh().x_desc("calls").y_desc(axis).draw().map_err(|error| failed(&error))?;
    for (index, (name, points)) in lines.iter().enumerate() {
        let colour = Palette99::pick(index).to_rgba();
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
        chart
            .draw_series(line)
            .map_err(|error| failed(&error))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.4))
        .draw()
        .map_err(|error| failed(&error))?;
    area.present().map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_picture_has_a_line_for_each_kind_of_call_and_one_for_the_floor() {
        let result = |calls, srtp, cpu, floor| {
            json!({ "calls": calls, "codec": "pcmu", "srtp": srtp, "application_hz": 16_000,
                "cpu_us_per_call_second": cpu, "floor_us_per_call_second": floor, "rss_kb_per_call": 100,
                "wire_interval_ms": { "p99": 20.5 } })
        };
        let results =
            [result(500, false, 600, 130), result(100, false, 700, 150), result(500, true, 800, 120)];
        let cpu = lines(&results, PICTURES[0].figure);
        assert_eq!(cpu["pcmu, 16000 Hz"], [(100.0, 700.0), (500.0, 600.0)]);
        assert_eq!(cpu["pcmu with SRTP, 16000 Hz"], [(500.0, 800.0)]);
        assert_eq!(floor(&results)["bare system calls"], [(100.0, 150.0), (500.0, 120.0)]);

        let folder = tempfile::tempdir().unwrap();
        let (file, dir) = (folder.path().join("results.jsonl"), folder.path().join("pictures"));
        fs::write(&file, results.map(|result| result.to_string()).join("\n")).unwrap();
        PlotCommand { results: vec![file], dir: dir.clone() }.run().unwrap();
        for picture in &PICTURES {
            let svg = fs::read_to_string(dir.join(picture.file)).unwrap();
            assert!(svg.contains("pcmu with SRTP, 16000 Hz"), "{svg}");
        }
        assert!(fs::read_to_string(dir.join("cpu.svg")).unwrap().contains("bare system calls"));
    }
}
