"""Networks of other people, as data: small forms of many families for tests, built from timm with weights at random."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from types import ModuleType

import torch
import torchvision_operators
from torch import nn

from edgevit.sources.noise import noise_images
from edgevit.sources.random_weights import randomise_zeros
from edgevit.sources.spec_for import spec_for
from edgevit.spec import ModelSpec

_ = torchvision_operators  # timm is imported below
TALL = (96, 64)
"""Height and width of an image where a network takes any, so that no pass mistakes one for the other."""


@dataclass(frozen=True)
class Made:
    """In the options of a class: what ``function`` of the same module returns for ``options``."""

    function: str
    options: dict[str, object]


@dataclass(frozen=True)
class Network:
    """``source`` is a name that timm has, or ``MODULE:CLASS`` under ``timm.models``; ``options`` are its arguments.

    In the options of a class, ``"@Name"`` stands for a class of the same module.
    """

    family: str
    source: str
    size: tuple[int, int] = TALL
    options: dict[str, object] = field(default_factory=dict)
    batch: int = 1

    @property
    def name(self) -> str:
        """Its name in timm, or that of its class."""
        return self.source.rpartition(":")[2]

    def model(self, classes: int) -> nn.Module:
        """As timm initialises it."""
        import timm

        if ":" not in self.source:
            return timm.create_model(self.source, num_classes=classes, **self.options)
        place, _, name = self.source.partition(":")
        module = importlib.import_module(f"timm.models.{place}")
        options = {key: _resolved(module, value) for key, value in self.options.items()}
        found: nn.Module = getattr(module, name)(num_classes=classes, **options)
        return found


def _resolved(module: ModuleType, value: object) -> object:
    if isinstance(value, Made):
        return getattr(module, value.function)(**{key: _resolved(module, one) for key, one in value.options.items()})
    if isinstance(value, tuple):
        return tuple(_resolved(module, one) for one in value)
    return getattr(module, value[1:]) if isinstance(value, str) and value.startswith("@") else value


def _square(pixels: int, **options: object) -> tuple[tuple[int, int], dict[str, object]]:
    """A network that is built for one size of image."""
    return (pixels, pixels), {"img_size": pixels, **options}


def _branched(stem: str, blocks: str, **options: object) -> dict[str, object]:
    """A network of blocks whose branches are joined for inference: ``options`` are those of ``blocks``."""
    made = Made(blocks, {"d": (1, 2, 1, 1), "wf": (0.25, 0.25, 0.25, 0.25), **options})
    return {"cfg": Made("ByoModelCfg", {"blocks": made, "stem_type": stem, "stem_chs": 16})}


GHOSTS = (((3, 16, 16, 0, 1),), ((3, 48, 24, 0, 2), (3, 72, 24, 0, 1)), ((5, 72, 40, 0.25, 2), (5, 120, 40, 0.25, 1)))
"""Stages of blocks: kernel, channels inside and behind, those of squeeze-excite, stride."""

CONVOLUTIONAL = (
    Network("VGG", "vgg:VGG", (32, 32), {"cfg": (8, "M", 16, "M", 16, "M", 24, "M", 24, "M"), "mlp_ratio": 0.1}),
    Network("ResNet", "resnet10t"),
    Network("SE-ResNet", "seresnet18", batch=2),
    Network("ECA-ResNet", "ecaresnet26t"),
    Network("ResNeXt", "resnext50_32x4d", options={"layers": (1, 1, 1, 1)}),
    Network("ResNetV2", "resnetv2:ResNetV2", options={"layers": (1, 1, 1, 1), "channels": (128, 128, 128, 128)}),
    Network("ResNeSt", "resnest14d"),
    Network("SKNet", "skresnet18"),
    Network("Res2Net", "res2net50_26w_4s", options={"layers": (1, 1, 1, 1)}),
    Network("RegNet with squeeze-excite", "regnety_002"),
    Network("DenseNet", "densenet121", options={"block_config": (2, 2, 2, 2)}),
    Network("Inception", "inception_v3", (96, 96)),
    Network("DLA", "dla46_c"),
    Network("HRNet", "hrnet_w18_small"),
    Network("CSPNet", "cs3darknet_s"),
    Network("VoVNet", "ese_vovnet19b_slim_dw", batch=2),
    Network("HGNet", "hgnetv2_b0"),
    Network("NFNet", "test_nfnet"),
    Network("MobileNetV2", "mobilenetv2_035", batch=2),
    Network("MobileNetV3", "mobilenetv3_small_050"),
    Network("MobileNetV4", "mobilenetv4_conv_small_035"),
    Network("EfficientNet", "tinynet_e"),
    Network("MixNet", "mixnet_s"),
    Network("GhostNet", "ghostnet:GhostNet", options={"cfgs": GHOSTS, "width": 0.5}),
    Network("RepVGG", "byobnet:ByobNet", options=_branched("rep", "_rep_vgg_bcfg")),
    Network("MobileOne", "byobnet:ByobNet", options=_branched("one", "_mobileone_bcfg", num_conv_branches=4)),
    Network("FasterNet", "fasternet_t0"),
    Network("StarNet", "starnet_s050", batch=2),
    Network("ConvMixer", "convmixer:ConvMixer", options={"dim": 32, "depth": 3, "patch_size": 8}),
    Network("ConvNeXt", "convnext_atto", options={"depths": (1, 1, 2, 1)}),
    Network("ConvNeXtV2", "convnextv2_atto", options={"depths": (1, 1, 2, 1)}),
    Network("InceptionNeXt", "inception_next_atto"),
    Network("PoolFormer", "metaformer:MetaFormer", options={"depths": (1, 1, 2, 1), "dims": (16, 32, 48, 64)}),
    Network("MambaOut", "test_mambaout"),
)
"""Convolutions, poolings and gates."""

ATTENTION = (
    Network("ViT", "test_vit", *_square(64)),
    Network("DeiT", "deit_tiny_distilled_patch16_224", *_square(48, depth=2), batch=2),
    Network("DeiT III", "deit3_small_patch16_224", *_square(48, depth=2)),
    Network("BEiT", "beit_base_patch16_224", *_square(48, depth=2, embed_dim=48, num_heads=3)),
    Network("EVA", "eva02_tiny_patch14_224", *_square(42, depth=2)),
    Network("CaiT", "cait_xxs24_224", *_square(48, depth=2)),
    Network("XCiT", "xcit_nano_12_p16_224", *_square(48, depth=2)),
    Network("TNT", "tnt_s_patch16_224", *_square(48, depth=2, embed_dim=48, inner_dim=16, num_heads_outer=3)),
    Network("ConViT", "convit_tiny", *_square(48, depth=3, local_up_to_layer=2)),
    Network("PiT", "pit_ti_224", *_square(64, depth=(1, 1, 1))),
    Network("CrossViT", "crossvit_9_240", *_square(240, depth=((1, 1, 0),))),
    Network("CoaT", "coat_lite_tiny", *_square(64)),
    Network("Swin", "swin_tiny_patch4_window7_224", *_square(56, depths=(2, 2), num_heads=(2, 4), embed_dim=24)),
    Network(
        "Swin V2",
        "swinv2_tiny_window8_256",
        *_square(64, depths=(2, 2), num_heads=(2, 4), embed_dim=24, window_size=4),
    ),
    Network("PVT v2", "pvt_v2_b0", batch=2),
    Network("PVT v2, linear", "pvt_v2_b2_li", options={"depths": (1, 1, 1, 1)}),
    Network("Twins-SVT", "twins_svt_small", *_square(64, depths=(1, 1, 2, 1))),
    Network("Twins-PCPVT", "twins_pcpvt_small", *_square(64, depths=(1, 1, 1, 1))),
    Network("NesT", "nest:Nest", *_square(64, depths=(1, 1, 1), embed_dims=(24, 48, 96), num_heads=(2, 4, 8))),
    Network(
        "DaViT",
        "davit_tiny",
        options={"depths": (1, 1, 1, 1), "embed_dims": (24, 48, 72, 96), "num_heads": (1, 2, 3, 4)},
    ),
    Network(
        "MViTv2",
        "mvitv2:MultiScaleVit",
        *_square(64, cfg=Made("MultiScaleVitCfg", {"depths": (1, 1, 1, 1), "embed_dim": 48})),
    ),
    Network("Hiera", "hiera_tiny_224", *_square(224, stages=(1, 1, 2, 1), embed_dim=24)),
    Network("GC ViT", "gcvit:GlobalContextVit", *_square(64, depths=(1, 1, 2, 1), embed_dim=32)),
    Network(
        "VOLO", "volo:VOLO", *_square(64, layers=(1, 1, 1, 1), embed_dims=(24, 48, 48, 48), num_heads=(2, 4, 4, 4))
    ),
    Network("FocalNet", "focalnet:FocalNet", options={"depths": (1, 1, 1, 1), "embed_dim": 24}),
    Network(
        "LeViT",
        "levit_128s",
        *_square(96, depth=(1, 1, 1), embed_dim=(48, 64, 96), num_heads=(2, 3, 4), key_dim=8),
    ),
    Network("MobileViT", "mobilevit_xxs"),
    Network("MobileNetV4 with attention", "mobilenetv4_hybrid_medium_075"),
    Network("EfficientFormer", "efficientformer_l1", (224, 224), {"depths": (1, 1, 1, 2)}),
    Network("EfficientFormer V2", "efficientformerv2_s0", *_square(64, depths=(1, 1, 2, 2), num_vit=1)),
    Network("FastViT", "fastvit_sa12", options={"layers": (1, 1, 1, 1)}),
    Network("EdgeNeXt", "edgenext_xx_small", options={"depths": (1, 1, 2, 1)}),
    Network("RepViT", "repvit_m0_9", options={"depth": (1, 1, 2, 1), "embed_dim": (24, 48, 96, 128)}),
    Network("SwiftFormer", "swiftformer_xs"),
    Network("SHViT", "shvit_s1"),
    Network("TinyViT", "tiny_vit_5m_224", (64, 64), {"depths": (1, 1, 2, 1), "window_sizes": (7, 7, 3, 7)}),
    Network("EfficientViT of MIT", "efficientvit_b0"),
    Network("EfficientViT of MSRA", "efficientvit_m0", *_square(224, depth=(1, 1, 1))),
    Network(
        "CAFormer",
        "metaformer:MetaFormer",
        options={
            "depths": (1, 1, 2, 1),
            "dims": (32, 32, 64, 64),
            "token_mixers": ("@SepConv", "@SepConv", "@Attention", "@Attention"),
            "norm_layers": (*("@LayerNorm2dNoBias",) * 2, *("@LayerNormNoBias",) * 2),
        },
    ),
    Network("CoAtNet", "test_coatnet", *_square(64)),
    Network("MaxViT", "test_maxvit", *_square(64)),
    Network("Mixer", "mlp_mixer:MlpMixer", *_square(64, num_blocks=2, embed_dim=48)),
    Network(
        "ResMLP",
        "mlp_mixer:MlpMixer",
        *_square(64, num_blocks=3, embed_dim=48, mlp_ratio=4, block_layer="@ResBlock", norm_layer="@Affine"),
    ),
    Network(
        "gMLP",
        "mlp_mixer:MlpMixer",
        *_square(64, num_blocks=3, embed_dim=48, mlp_ratio=6, block_layer="@SpatialGatingBlock", mlp_layer="@GatedMlp"),
    ),
    Network("Sequencer", "sequencer:Sequencer2d", *_square(64, layers=(1, 1, 1, 1))),
)
"""Attention, and products over all tokens."""


def build(network: Network, *, classes: int = 10, seed: int = 0) -> tuple[nn.Module, ModelSpec]:
    """The network in eval mode, as it is trained (no branches joined), with weights at random, and its spec."""
    torch.manual_seed(seed)
    model = network.model(classes).eval().requires_grad_(False)
    images = noise_images((4, 3, *network.size))
    randomise_zeros(model, seed, (images,))
    return model, spec_for(model, images[:1].expand(network.batch, -1, -1, -1), name=network.name)
